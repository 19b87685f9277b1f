"""Cutouts from a folder of JPEG and PNG files, with a table of positions where there is one."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline import storage
from pipeline.errors import InputError
from pipeline.identifiers import id_column
from pipeline.images.decode import MAX_FILE_BYTES, PICTURE_SUFFIXES
from pipeline.storage import FileInfo


def list_images(folder: str) -> list[FileInfo]:
    """The images below a folder, sorted by URI; known by their names, not opened, so broken links count.

    Raises
    ------
    InputError
        If the folder is absent, is a file, or has no image below it.
    """
    files = storage.list_files(folder, broken_links=True)
    images = [file for file in files if file.uri.lower().endswith(PICTURE_SUFFIXES)]
    if not files and not storage.exists(folder):
        raise InputError(f"{folder} doesn't exist; name a folder of {', '.join(PICTURE_SUFFIXES)} files")
    if len(files) == 1 and storage.filesystem(files[0].uri)[1] == storage.filesystem(folder)[1]:
        raise InputError(f"{folder} is a file; name the folder that holds the images")
    if not images:
        raise InputError(
            f"{folder} holds no image among its {len(files)} files; expected {', '.join(PICTURE_SUFFIXES)}"
        )
    for image in images:
        if image.size > MAX_FILE_BYTES:
            raise InputError(
                f"{image.uri} has {image.size} bytes; at most {MAX_FILE_BYTES} make a cutout: "
                "move it elsewhere"
            )
    return images


def stem(file_name: str) -> str:
    """A file's name without the folder and the suffix of an image: what becomes its ``object_id``."""
    base = storage.name(file_name)
    for suffix in PICTURE_SUFFIXES:
        if base.lower().endswith(suffix):
            return base[: -len(suffix)]
    return base


def fingerprint(files: Iterable[FileInfo]) -> str:
    """A digest of the files' names, sizes and etags, by which a changed folder is known."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.uri}\0{file.size}\0{file.etag}\n".encode())
    return digest.hexdigest()


def read_positions(uri: str) -> dict[str, tuple[float, float]]:
    """Read a CSV with the columns ``name, ra, dec`` (degrees, ICRS); others are passed over.

    A column of identifiers does in place of ``name`` (see `pipeline.identifiers.ID_COLUMNS`).

    Returns
    -------
    dict of str to (float, float)
        (ra, dec) by stem; a name may be given with or without its suffix.

    Raises
    ------
    InputError
        If the file can't be read or lacks a column, a position isn't a number in range (ra 0 to 360, dec
        -90 to 90), or one name has two positions.
    """
    reader, name = _positions(uri)
    positions: dict[str, tuple[float, float]] = {}
    try:
        for row in reader:
            where = f"{uri}, line {reader.line_num}"
            position = _degrees(row, "ra", 0, 360, where), _degrees(row, "dec", -90, 90, where)
            key = stem((row[name] or "").strip())
            if positions.setdefault(key, position) != position:
                raise InputError(f"{where}: {key!r} has a second position {position}; give each name once")
    except csv.Error as error:
        raise InputError(f"{uri} is not a CSV file: {error}") from error
    return positions


def positions_column(uri: str) -> str:
    """The column of a table of positions that names the galaxies.

    Raises
    ------
    InputError
        If the file can't be read or lacks a column.
    """
    return _positions(uri)[1]


def match_positions(
    files: Iterable[FileInfo], positions: Mapping[str, tuple[float, float]], uri: str
) -> dict[str, int]:
    """How many images have a position, how many have none, and how many positions have no image.

    Raises
    ------
    InputError
        If no position has an image, so that the table is of other images.
    """
    stems = [stem(file.uri) for file in files]
    matched = sum(name in positions for name in stems)
    if not matched:
        example = next(iter(positions), None)
        names = f"it names {example!r}, for one, the images {stems[0]!r}" if example else "it has no rows"
        raise InputError(f"{uri} has a position for none of the {len(stems)} images: {names}")
    return {
        "images_with_position": matched,
        "images_without_position": len(stems) - matched,
        "positions_without_image": len(positions.keys() - set(stems)),
    }


def folder_rows(
    files: Iterable[FileInfo], positions: Mapping[str, tuple[float, float]] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of the cutout table in the order of the files, which are read some at a time.

    The bytes travel unopened: whether they are an image is for the decoder to say, row by row.

    Raises
    ------
    InputError
        If a file can't be read.
    """
    for file, image in storage.read_ahead(lambda file: (file, storage.read_bytes(file.uri)), files):
        name = stem(file.uri)
        ra, dec = (positions or {}).get(name, (None, None))
        yield {"object_id": name, "ra": ra, "dec": dec, "image": image}


def _positions(uri: str) -> tuple[csv.DictReader[str], str]:
    """What reads a table of positions, and its column of names."""
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{uri} is not a CSV file in UTF-8: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = list(reader.fieldnames or [])
    name = id_column(header, also="name") or "name"
    missing = [column for column in (name, "ra", "dec") if column not in header]
    if missing:
        raise InputError(
            f"{uri} has no column {missing[0]!r} (its first line is {', '.join(header) or 'empty'}); "
            "expected name (or object_id, or objid), ra, dec"
        )
    return reader, name


def _degrees(row: Mapping[str, str | None], column: str, minimum: float, maximum: float, where: str) -> float:
    text = row[column]
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not minimum <= value <= maximum:
        raise InputError(f"{where}: {column} is {text!r}; expected degrees from {minimum:g} to {maximum:g}")
    return value
