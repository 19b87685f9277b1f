"""A cut from start to end: index the tiles, plan, cut what isn't there yet, complete the set."""

from __future__ import annotations

import pyarrow as pa

from pipeline import storage
from pipeline.console import progress
from pipeline.cutouts.folder import fingerprint
from pipeline.cutouts.manifest import Survey, read_survey
from pipeline.cutting.cells import plan_on_tiles
from pipeline.cutting.index import Spread, index_tiles
from pipeline.cutting.listing import find_tiles, list_tile_files
from pipeline.cutting.plan import units_of, write_plan
from pipeline.cutting.positions import Positions, read_positions
from pipeline.cutting.settings import CutConfig, tile_survey
from pipeline.cutting.work import UnitRecord, Work, cut_unit, finish, keep_misses


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
    survey = tile_survey(config.survey, config)
    files = list_tile_files(config.tiles, survey)
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
        _make_plan(work, positions, index_tiles(work.index, tiles, survey, spread))
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


def _make_plan(work: Work, positions: Positions, index: pa.Table) -> None:
    plan = plan_on_tiles(positions, work.survey.frame, index)
    misses = pa.concat_tables([positions.misses, plan.misses])
    if len(misses):
        keep_misses(work.file("misses-plan.parquet"), misses)
    write_plan(work.plan, plan)
