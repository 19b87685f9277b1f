"""The plan of a run: which rows of the input are to be classified, and what decides their answers."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import storage
from pipeline.catalogue import (
    catalogue_schema,
    changed_readings,
    changed_settings,
    classes_digest,
    holds_columns,
    is_finished,
    row_hashes,
    same_source,
    select_rows,
    tree_digest,
)
from pipeline.console import say
from pipeline.cutouts import ShardInfo, duplicate_rows
from pipeline.images.rejection import load_rejection
from pipeline.protocol import Plan, PlannedShard, make_plan
from pipeline.protocol.records import read_plans
from pipeline.protocol.run import Base
from pipeline.run.run import Run
from pipeline.run.settings import StreamConfig, SurveyConfig
from pipeline.streaming.first_rows import check_survey
from pipeline.survey import Inventory, fingerprint_of, read_contents

_LARGE_UNIT_ROWS = 1024
"""Ray hands on some tens of units a second, however large, and a GPU classifies 25,000 galaxies."""

_SHOWN_UNITS = 8
"""Units that a small set is cut into, so that progress shows."""

_FEWEST_UNIT_ROWS = 16

_LARGE_UNIT_BYTES = 64 << 20
"""Most that a large unit may take in storage. Pictures that aren't plain JPEGs are decoded before they reach
the GPU, and more bytes than that could pass the limit on a decode actor's memory."""


def plan_shards(run: Run[SurveyConfig]) -> list[PlannedShard]:
    """The input as it is now: its shards, each with its rows that repeat an earlier one.

    Raises
    ------
    InputError
        If there is none, it can't be read, or isn't what the survey file says.
    """
    shards = run.source.list_shards(run.config.input)
    check_survey(run.source, shards)
    return repetitions(run.source, shards)


def repetitions(source: Inventory, shards: Sequence[ShardInfo]) -> list[PlannedShard]:
    """The shards as a plan holds them, each with its rows that repeat the object_id of an earlier row."""
    duplicates = duplicate_rows(storage.read_ahead(lambda shard: source.read_ids(shard.uri), shards))
    return [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows, duplicates=rows)
        for shard, rows in zip(shards, duplicates, strict=True)
    ]


def deciding_settings(run: Run[StreamConfig]) -> dict[str, str]:
    """What beside the input and the numerics decides the answers, for the fingerprint of a run."""
    return {
        "weights": run.model.sha256,
        "tree": tree_digest(run.tree),
        "classes": classes_digest(run.tree),
        "transforms": str(run.config.transforms),
        "precision": run.precision,
        "survey": fingerprint_of(run.source),
        **({} if run.decoder == "cpu" else {"decoder": run.decoder}),
        **({} if run.confidence is None else {"uncertainty": run.confidence.sha256}),
        **({} if run.projection is None else {"embedding": run.projection.sha256}),
        **({"rejection": load_rejection().sha256} if run.config.rejection else {}),
        **({} if run.detector is None else {"clumps": run.detector.fingerprint}),
    }


def plan_everything(run: Run[StreamConfig]) -> Plan:
    """Plan a run that classifies the whole input."""
    shards = plan_shards(run)
    return make_plan(shards, rows_of_a_unit(run, shards), deciding_settings(run), weights=run.model.title)


def rows_of_a_unit(run: Run[StreamConfig], shards: Sequence[PlannedShard]) -> int:
    """Most galaxies in a work unit: as set, or more where GPUs decode and pictures are small in storage.

    Fewer in a small set, so that there is progress to see; an output that has a run keeps to its units.
    """
    size, rows = sum(shard.size for shard in shards), sum(shard.rows for shard in shards)
    if "unit_rows" in run.config.model_fields_set:
        return run.config.unit_rows
    if rows < _SHOWN_UNITS * run.config.unit_rows:
        plans = read_plans(run.config.output)
        fewer = max(-(-rows // _SHOWN_UNITS), _FEWEST_UNIT_ROWS)
        return plans[0].unit_rows if plans else min(fewer, run.config.unit_rows)
    if run.decoder == "cpu":
        return run.config.unit_rows
    small = size * _LARGE_UNIT_ROWS <= _LARGE_UNIT_BYTES * rows
    return _LARGE_UNIT_ROWS if small else run.config.unit_rows


def plan_refresh(run: Run[StreamConfig], base: Base | None) -> Plan | None:
    """Plan a run over what is new or has changed since `base`, and tell the user; None if nothing has."""
    full, output = plan_everything(run), run.config.output
    if base is None:
        say(f"{output} has no catalogue yet, so all {full.rows:,} galaxies are new")
        return full
    config = run.config
    written = catalogue_schema(
        run.tree, config.uncertainty, config.embedding, config.rejection, config.clumps, classes=False
    )
    if not holds_columns(output, written, base.version):
        say(f"The catalogue lacks columns of this run, so all {full.rows:,} galaxies are classified anew")
        return full
    if base.plan is None:
        return _plan_beside_foreign_rows(run, full, base)
    changed = changed_settings(base.plan, full.fingerprint)
    if changed:
        other = ", ".join(changed)
        say(f"Changed since run {base.plan.run}: {other}. All {full.rows:,} galaxies are classified anew")
        return _plan(run, full.shards, full.unit_rows, base)
    readings = changed_readings(base.plan, full.fingerprint)
    if readings:
        other = ", ".join(readings)
        say(f"Changed since run {base.plan.run}: {other}. Classes and answers are derived anew")
    elif same_source(full.shards, base.plan):
        if not is_finished(output, base.plan):
            return base.plan
        count = f"{full.rows:,} galaxies in {len(full.shards):,} shards"
        say(f"Nothing changed since run {base.plan.run}: {count}")
        return None
    return _plan_changes(run, full, base, base.plan.shards, None)


def _plan_beside_foreign_rows(run: Run[StreamConfig], full: Plan, base: Base) -> Plan:
    """Plan over a version that no run wrote, such as a restore: rows of runs with these settings stay."""
    say(
        f"Version {base.version} of the catalogue was not written by a run, but for example by a restore. "
        "So its rows are compared with the whole input"
    )
    plans = read_plans(run.config.output)
    runs = [plan.run for plan in plans if not changed_settings(plan, full.fingerprint)]
    return _plan_changes(run, full, base, (), runs)


def _plan_changes(
    run: Run[StreamConfig],
    full: Plan,
    base: Base,
    base_shards: Sequence[PlannedShard],
    runs: Sequence[str] | None,
) -> Plan:
    shards, gone = select_rows(
        full.shards,
        base_shards,
        row_hashes(run.config.output, run.tree, base, runs),
        lambda shard: read_contents(run.source, shard.uri, shard.rows),
    )
    plan = _plan(run, shards, full.unit_rows, base)
    since = f"version {base.version}" if base.plan is None else f"run {base.plan.run}"
    say(
        f"Since {since}: {plan.selected_rows:,} of {plan.rows:,} galaxies are new or have changed, "
        f"{gone:,} are gone"
    )
    return plan


def _plan(run: Run[StreamConfig], shards: Sequence[PlannedShard], unit_rows: int, base: Base) -> Plan:
    before = None if base.plan is None else base.plan.run
    return make_plan(shards, unit_rows, deciding_settings(run), before, base.version, run.model.title)
