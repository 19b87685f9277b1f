"""The decode stage: rows of a shard → uint8 regions around the galaxies; a bad row becomes a reason."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa

from pipeline.catalogue.plan import WorkUnit
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import ImageError, Region, cut_region, decode_image
from pipeline.survey import read_rows

DECODED_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("shard", pa.string()),
        ("row", pa.int64()),
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("pixels", pa.binary()),
        ("side", pa.int32()),
        ("center_x", pa.float64()),
        ("center_y", pa.float64()),
        ("scale", pa.float64()),
        ("decode_seconds", pa.float64()),
    ]
)
"""One row a galaxy; either `reason` is null or `pixels` is (raw RGB of side × side)."""

_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))


def unit_of(batch: pa.Table) -> WorkUnit:
    """The work unit that a one-row batch describes."""
    (row,) = batch.to_pylist()
    duplicates = tuple(row["duplicates"] or ())
    return WorkUnit(row["index"], row["shard"], row["start"], row["stop"], duplicates)


class DecodeActor:
    """Ray Data stage: a one-row batch that names a unit → the unit's galaxies (`DECODED_SCHEMA`)."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Read and decode one unit."""
        return decode_unit(unit_of(batch))


def decode_unit(unit: WorkUnit) -> pa.Table:
    """Read and decode a unit; whatever is wrong with a row stays with that row.

    Raises
    ------
    InputError
        If the shard itself can't be read.
    """
    started = time.perf_counter()
    cutouts = read_rows(unit.shard, unit.start, unit.stop)
    duplicates = set(unit.duplicates)
    rows = [
        _decode_row(cutout, unit.start + offset, duplicates)
        for offset, cutout in enumerate(cutouts.to_pylist())
    ]
    seconds = time.perf_counter() - started
    shared = {"unit": unit.index, "shard": unit.shard, "decode_seconds": seconds}
    return pa.Table.from_pylist([row | shared for row in rows], schema=DECODED_SCHEMA)


def _decode_row(cutout: dict[str, Any], row: int, duplicates: set[int]) -> dict[str, Any]:
    known = {"row": row, "object_id": cutout["object_id"], "ra": cutout["ra"], "dec": cutout["dec"]}
    try:
        if not cutout["object_id"]:
            raise ImageError("no_object_id", "object_id is empty; every galaxy needs one of its own")
        if row in duplicates:
            raise ImageError(
                "duplicate_object_id",
                f"object_id {cutout['object_id']!r} stands in an earlier row too; that one counts",
            )
        region = _region(cutout)
    except ImageError as error:
        return known | {"reason": error.reason, "message": error.message}
    return known | {
        "pixels": region.pixels.tobytes(),
        "side": region.pixels.shape[0],
        "center_x": region.center[0],
        "center_y": region.center[1],
        "scale": region.scale,
    }


def _region(cutout: dict[str, Any]) -> Region:
    if cutout["image"] is None:
        raise ImageError("empty", "the image is null")
    x, y = cutout["center_x"], cutout["center_y"]
    return cut_region(
        decode_image(cutout["image"]),
        _REACH,
        center=None if x is None or y is None else (x, y),
        frame_pixels=cutout["frame_pixels"],
    )


def input_name(shard: str, row: int) -> str:
    """How the catalogue names an input row."""
    return f"{shard}#{row}"
