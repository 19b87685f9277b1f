"""Rows of a shard → the region around each galaxy, or the reason why there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.cutouts.contents import content_digest
from pipeline.cutouts.reading import SalvagedRows
from pipeline.cutouts.table import nan_to_none
from pipeline.errors import StorageTrouble
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import ImageError
from pipeline.images.recentre import cut_frames
from pipeline.images.region import place_region
from pipeline.images.rejection import verdict_on
from pipeline.survey.develop import develop, picture_row, undeveloped
from pipeline.survey.source import ImageOpener, Source

_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))
_LONGEST_ID = 1000
_WAITS = (0.5, 2.0)


class DecodeSettings(NamedTuple):
    """How rows are decoded.

    Attributes
    ----------
    recentrings
        Thresholds by which galaxies are recentred (see `pipeline.network.Model`).
    keep_jpegs
        Whether plain JPEGs, once they are checked, are left to be decoded where the model is.
    rejection
        Whether to say if each picture has a galaxy (see `pipeline.images.rejection`), for which it is decoded
        here.
    axes
        Whether to say how the sky lies in each picture, wherever that is known.
    """

    recentrings: Sequence[float] = ()
    keep_jpegs: bool = False
    rejection: bool = False
    axes: bool = False


DECODE_DEFAULTS = DecodeSettings()


def read_patiently(source: Source, shard: str, start: int, stop: int) -> SalvagedRows:
    """Rows of a shard; a store that fails is asked again twice.

    Raises
    ------
    InputError
        If the store keeps failing, or the shard itself can't be read.
    """
    for wait in _WAITS:
        try:
            return source.read_rows(shard, start, stop)
        except StorageTrouble:
            time.sleep(wait)
    return source.read_rows(shard, start, stop)


def known_facts(cutout: Mapping[str, Any], row: int) -> dict[str, Any]:
    """What is known of a row before its image is looked at."""
    name = cutout["object_id"]
    if name is not None and len(name) > _LONGEST_ID:
        name = name[:_LONGEST_ID] + "…"
    return {
        "row": row,
        "object_id": name,
        "ra": nan_to_none(cutout["ra"]),
        "dec": nan_to_none(cutout["dec"]),
        "content": content_digest(cutout),
    }


def decode_row(
    cutout: Mapping[str, Any],
    row: int,
    duplicate: bool,
    problem: tuple[str, str] | None,
    source: ImageOpener,
    settings: DecodeSettings = DECODE_DEFAULTS,
) -> dict[str, Any]:
    """A row of `DECODED_SCHEMA`, less what is its unit's; whatever is wrong becomes ``reason, message``.

    Parameters
    ----------
    cutout
        As the source gives it.
    row
        In the shard.
    duplicate
        Whether the object_id stands in an earlier row.
    problem
        Reason and message if the row is bad as read.
    source
        Where it was read.

    Raises
    ------
    MemoryError
        If memory ran out: that may be this row's fault or not.
    """
    facts = known_facts(cutout, row)
    try:
        if problem and (not duplicate or problem[0] == "duplicate_object_id"):
            raise ImageError(*problem)
        _check_identity(cutout, duplicate)
        may_keep = settings.keep_jpegs and not (settings.recentrings or settings.rejection)
        jpeg = _kept_jpeg(cutout, source) if may_keep else None
        return facts | (_region(cutout, source, settings) if jpeg is None else jpeg)
    except ImageError as error:
        return facts | {"reason": error.reason, "message": error.message}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - no bug of a decoder is to cost the other rows
        message = f"the decoder failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return facts | {"reason": "decoder_failed", "message": message}


def view_row(
    cutout: Mapping[str, Any], row: int, problem: tuple[str, str] | None, source: Source
) -> dict[str, Any]:
    """A row with its picture as `picture_row` has it, but in ``pixels``; or ``reason, message``.

    Parameters
    ----------
    cutout, row, problem, source
        As `decode_row` takes them.
    """
    try:
        if problem:
            raise ImageError(*problem)
        seen = picture_row(cutout, source)
    except ImageError as error:
        return {"row": row, "reason": error.reason, "message": error.message}
    return {"row": row, "pixels": seen.pop("image"), **seen}


def _check_identity(cutout: Mapping[str, Any], duplicate: bool) -> None:
    name = cutout["object_id"]
    if not name or not name.strip():
        raise ImageError("no_object_id", "object_id is empty; every galaxy needs one of its own")
    if len(name) > _LONGEST_ID:
        raise ImageError(
            "bad_object_id", f"object_id is {len(name):,} characters long; expected at most {_LONGEST_ID:,}"
        )
    if "\0" in name:
        raise ImageError(
            "bad_object_id",
            f"object_id {name!r} holds a NUL, where FITS and VOTable end a text; expected an id without",
        )
    if duplicate:
        raise ImageError(
            "duplicate_object_id", f"object_id {name!r} stands in an earlier row too; that one counts"
        )
    for key, least, most in (("ra", -180, 360), ("dec", -90, 90)):
        value = nan_to_none(cutout[key])
        if value is not None and not least <= value <= most:
            raise ImageError(
                "bad_position",
                f"{key} is {value:g}; expected {least} to {most} degrees, or null where it isn't known",
            )


def _region(cutout: Mapping[str, Any], source: ImageOpener, settings: DecodeSettings) -> dict[str, Any]:
    """A galaxy's region as a row has it."""
    galaxy = develop(cutout, source, settings.axes)
    where = galaxy.center, galaxy.frame_pixels
    height, width = galaxy.pixels.shape[:2]
    x, y = galaxy.center or ((width - 1) / 2, (height - 1) / 2)
    region, recentred = cut_frames(galaxy.pixels, _REACH, *where, settings.recentrings)
    verdict = verdict_on(galaxy.pixels, *where) if settings.rejection else None
    return {
        "ra": galaxy.ra,
        "dec": galaxy.dec,
        "verdict": None if verdict is None else verdict._asdict(),
        "pixels": region.pixels,
        "side": region.pixels.shape[0],
        "left": round(x - region.center[0]),
        "top": round(y - region.center[1]),
        "axes": galaxy.axes,
        "center_x": region.center[0],
        "center_y": region.center[1],
        "scale": region.scale,
        "recentred": recentred,
        "replaced": galaxy.replaced,
    }


def _kept_jpeg(cutout: Mapping[str, Any], source: ImageOpener) -> dict[str, Any] | None:
    """A galaxy's JPEG, not decoded yet, as a row has it; None if the picture has to be decoded here."""
    galaxy = undeveloped(cutout, source.survey)
    if galaxy is None:
        return None
    jpeg = galaxy.jpeg
    place = place_region(jpeg.width, jpeg.height, _REACH, galaxy.center, galaxy.frame_pixels)
    return {
        "ra": galaxy.ra,
        "dec": galaxy.dec,
        "pixels": jpeg.stripped,
        "jpeg": {
            "width": jpeg.width,
            "height": jpeg.height,
            "left": place.left,
            "top": place.top,
            "brightness": galaxy.brightness.ravel().tolist(),
        },
        "side": place.side,
        "left": place.left,
        "top": place.top,
        "axes": galaxy.axes,
        "center_x": place.center[0],
        "center_y": place.center[1],
        "scale": place.scale,
        "recentred": [],
        "replaced": 0,
    }
