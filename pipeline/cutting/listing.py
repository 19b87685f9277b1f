"""A survey's tiles by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline import storage
from pipeline.cutting.hips import find_hips_tiles, is_hips, list_hips_files
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.errors import InputError
from pipeline.storage import FileInfo

SUFFIXES = (".fits", ".fit", ".fits.fz", ".fits.gz", ".fits.bz2", ".fit.gz", ".fit.bz2")
"""Endings by which FITS files are known."""


def list_tile_files(uri: str, survey: TileSurvey) -> list[FileInfo]:
    """FITS files below a folder, or of a HiPS those of its deepest order.

    Raises
    ------
    InputError
        If there are none, or the HiPS can't be used.
    """
    if is_hips(uri):
        return list_hips_files(uri, survey)
    files = [file for file in storage.list_files(uri) if file.uri.lower().endswith(SUFFIXES)]
    if not files:
        there = "holds no FITS file" if storage.exists(uri) else "doesn't exist"
        raise InputError(f"{uri} {there}; name the folder of the survey's images ({', '.join(SUFFIXES)})")
    return files


def find_tiles(uri: str, files: Sequence[FileInfo], survey: TileSurvey) -> list[Tile]:
    """The tiles that files are of, by name.

    Raises
    ------
    InputError
        If no file is named as the settings say, or two are the same band of one tile.
    """
    if is_hips(uri):
        return find_hips_tiles(uri, files, survey)
    if survey.files is None:
        return [Tile(_stem(file.uri, uri), dict.fromkeys(survey.bands, file.uri)) for file in files]
    tiles: dict[str, Tile] = {}
    kinds = {"images": survey.files, "masks": survey.masks, "variances": survey.variances}
    for kind, pattern in kinds.items():
        for name, bands, file in _matches(files, pattern, survey):
            tile = tiles.setdefault(name, Tile(name))
            by_band: dict[str, str] = getattr(tile, kind)
            for band in bands:
                if band in by_band:
                    raise InputError(
                        f"{by_band[band]} and {file} are both band {band!r} of tile {name!r}; give the "
                        f"pattern {pattern!r} the folders that tell them apart, or name one folder"
                    )
                by_band[band] = file
    found = [tiles[name] for name in sorted(tiles) if tiles[name].images]
    if not found:
        raise InputError(
            f"none of the {len(files)} FITS files below {uri} is named as {survey.files!r} says, for the "
            f"bands {', '.join(survey.names.values())}; one is {files[0].uri}"
        )
    return found


def _matches(
    files: Sequence[FileInfo], pattern: str | None, survey: TileSurvey
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Tile, bands and URI of each file that is named as a pattern says."""
    if pattern is None:
        return
    bands = {name: band for band, name in survey.names.items()}
    text = re.escape(pattern).replace(r"\{tile\}", "(?P<tile>[^/]+)")
    names = "|".join(sorted(map(re.escape, bands), key=len, reverse=True))
    text = text.replace(r"\{band\}", f"(?P<band>{names})")
    expression = re.compile(f"(?:^|/){text}$")
    for file in files:
        match = expression.search(file.uri)
        if match:
            own = match.groupdict().get("band")
            yield match["tile"], survey.bands if own is None else (bands[own],), file.uri


def _stem(file: str, folder: str) -> str:
    """A file's path below the folder, without the suffix."""
    _, path = storage.filesystem(file)
    _, root = storage.filesystem(folder)
    base = str(path).removeprefix(str(root)).lstrip("/") or storage.name(file)
    suffix = max((end for end in SUFFIXES if base.lower().endswith(end)), key=len)
    return base[: -len(suffix)]
