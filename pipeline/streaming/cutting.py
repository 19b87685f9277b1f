"""Cutouts by position through Ray Data: footprints of tiles, then units of objects, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import ray

from pipeline.cutting.index import footprint
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.cutting.work import UnitRecord, Work, cut_unit
from pipeline.errors import InputError, RunError, StorageTrouble

_TILES_AT_ONCE = 32
_ERRORS = {kind.__name__: kind for kind in (InputError, RunError, StorageTrouble)}

Item = TypeVar("Item")


def stream_footprints(tiles: Sequence[Tile], survey: TileSurvey) -> Iterator[list[dict[str, Any]]]:
    """Rows of the index of tiles, some at a time and in any order, by the cluster that is connected.

    Raises
    ------
    StorageTrouble
        If the store fails.
    """
    pieces = [tiles[first : first + _TILES_AT_ONCE] for first in range(0, len(tiles), _TILES_AT_ONCE)]

    def read(piece: Sequence[Tile]) -> str:
        return json.dumps([footprint(tile, survey) for tile in piece])

    yield from map(json.loads, _each(read, pieces))


def stream_units(work: Work, units: Sequence[int]) -> Iterator[UnitRecord]:
    """Records of units, each as it is done, by the cluster that is connected.

    Raises
    ------
    StorageTrouble, InputError
        See `cut_unit`.
    """

    def record(unit: int) -> str:
        return cut_unit(work, unit).model_dump_json()

    yield from map(UnitRecord.model_validate_json, _each(record, units))


def _each(do: Callable[[Item], str], items: Sequence[Item]) -> Iterator[str]:
    """What a function makes of each item, in any order; an error of ours is raised as it was."""

    def each(batch: dict[str, Any]) -> Iterator[pa.Table]:
        for number in batch["id"]:
            try:
                yield _row(do(items[int(number)]), "")
            except (InputError, RunError) as error:
                yield _row(str(error), type(error).__name__)

    numbers = ray.data.range(len(items), override_num_blocks=len(items))
    for row in numbers.map_batches(each, batch_size=1).iter_rows():
        if row["error"]:
            raise _ERRORS[row["error"]](row["value"])
        yield row["value"]


def _row(value: str, error: str) -> pa.Table:
    return pa.table({"value": pa.array([value], pa.string()), "error": pa.array([error], pa.string())})
