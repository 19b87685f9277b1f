"""A cut from start to end: index the tiles, plan, cut what isn't there yet, complete the set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.console import progress, say
from pipeline.cutouts.folder import fingerprint
from pipeline.cutouts.manifest import Survey, read_survey
from pipeline.cutting.index import footprint, make_index, write_index
from pipeline.cutting.plan import make_plan, units_of, write_plan
from pipeline.cutting.positions import Positions, read_positions
from pipeline.cutting.settings import CutConfig, tile_survey
from pipeline.cutting.tiles import Tile, find_tiles, list_tile_files
from pipeline.cutting.work import UnitRecord, Work, cut_unit, finish, keep_misses
from pipeline.errors import InputError

Spread = Callable[[Callable[[Any], str], Sequence[Any]], Iterator[str]]
"""Does something with each of many items, in any order: `map`, or `pipeline.streaming.cutting.spread`."""

_TILES_AT_ONCE = 32


def cut_positions(config: CutConfig, spread: Spread) -> tuple[Survey, bool]:
    """Cut all positions, or what a cut that was stopped has left; False if it was there already.

    Parameters
    ----------
    spread
        How the work is done; what it does can be done again.

    Raises
    ------
    InputError
        If the positions, the tiles or the survey can't be used, or the output holds something else.
    StorageTrouble
        If a store fails.
    """
    survey = tile_survey(config)
    files = list_tile_files(config.tiles)
    tiles = find_tiles(config.tiles, files, survey)
    work = Work(
        output=config.output,
        source=storage.absolute(config.tiles),
        criteria={
            "positions": fingerprint([storage.file_info(config.positions)]),
            "columns": config.columns.model_dump(mode="json"),
            "tiles": fingerprint(files),
            "survey": survey.model_dump(mode="json"),
        },
        survey=survey,
    )
    if not work.begin():
        complete = read_survey(config.output)
        assert complete is not None
        return complete, False
    positions = read_positions(config.positions, config.columns, survey.frame.column)
    if not storage.exists(work.plan):
        index = _index(work, tiles, spread)
        _make_plan(work, positions, index)
    units = units_of(work.plan)
    records = work.records()
    ahead = [unit for unit in range(len(units)) if unit not in records]
    if ahead:
        total, done = sum(units), sum(units[unit] for unit in records)
        with progress("Cutting", total, "objects", done) as advance:
            for done_now in spread(lambda unit: cut_unit(work, unit).model_dump_json(), ahead):
                record = UnitRecord.model_validate_json(done_now)
                records[record.unit] = record
                advance(record.rows)
    return finish(work, list(records.values()), positions.total), True


def _index(work: Work, tiles: list[Tile], spread: Spread) -> pa.Table:
    """The index of tiles, from before or made now."""
    if storage.exists(work.index):
        return pq.read_table(pa.BufferReader(storage.read_bytes(work.index)))
    survey, rows = work.survey, []
    pieces = [tiles[first : first + _TILES_AT_ONCE] for first in range(0, len(tiles), _TILES_AT_ONCE)]
    with progress("Indexing", len(tiles), "tiles") as advance:
        for some in spread(lambda piece: json.dumps([footprint(tile, survey) for tile in piece]), pieces):
            footprints = json.loads(some)
            rows += footprints
            advance(len(footprints))
    index = make_index(rows)
    problems = index["problem"].drop_null()
    if len(problems) == len(index):
        first = index["message"].drop_null()[0]
        raise InputError(f"none of the {len(index)} tiles in {work.source} can be used; the first: {first}")
    if len(problems):
        counts = Counter(problems.to_pylist())
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        say(f"{len(problems)} of {len(index)} tiles can't be used ({said}); see {work.index}")
    write_index(work.index, index)
    return index


def _make_plan(work: Work, positions: Positions, index: pa.Table) -> None:
    plan = make_plan(positions, work.survey.frame, index)
    if not len(plan.objects):
        reasons = Counter(plan.misses["reason"].to_pylist())
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        ra, dec = index["ra"].drop_null(), index["dec"].drop_null()
        raise InputError(
            f"none of the {len(positions.ra)} positions can be cut from these tiles ({said}); the first is "
            f"{positions.ra[0]:.5f}, {positions.dec[0]:+.5f}, and a tile lies at {ra[0]}, {dec[0]}: are both "
            "in degrees (ICRS)?"
        )
    misses = pa.concat_tables([positions.misses, plan.misses])
    if len(misses):
        keep_misses(work.file("misses-plan.parquet"), misses)
    write_plan(work.plan, plan)
