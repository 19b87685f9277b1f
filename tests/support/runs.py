"""Plans and outputs that tests of a run's records, its catalogue and its upkeep begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.catalogue import catalogue_rows
from pipeline.protocol import Plan, PlannedShard, RunLayout, WorkUnit, make_plan
from pipeline.protocol.records import QUARANTINE_SCHEMA, record_unit
from pipeline.tree import DecisionTree
from tests.support.damage import Made
from tests.support.outputs import make_output


@pytest.fixture
def plan() -> Plan:
    """25 rows in two shards, in units of 10 rows: 10, 2, 10, 3."""
    shards = [
        PlannedShard(uri="a.parquet", size=100, etag="1", rows=12),
        PlannedShard(uri="b.parquet", size=90, etag="2", rows=13, duplicates=(0, 11)),
    ]
    return make_plan(shards, 10, {"weights": "w" * 64})


@pytest.fixture
def layout(tmp_path: Path, plan: Plan) -> RunLayout:
    return RunLayout(str(tmp_path / "out"), plan.run)


@pytest.fixture
def made(tmp_path: Path, tree: DecisionTree) -> Made:
    """An output of 25 rows, committed."""
    layout, plan = make_output(tmp_path, tree)
    return Made(tmp_path, layout, plan, tree)


def classified_rows(tree: DecisionTree, unit: WorkUnit, run: str, bad: int = 0) -> pa.Table:
    """Rows for all but the last `bad` galaxies of a unit, with values that depend on the row alone."""
    rows = range(unit.start, unit.stop - bad)
    positions = pa.table(
        {
            "object_id": [f"{unit.shard}-{row}" for row in rows],
            "ra": pa.array([row / 10 for row in rows], pa.float64()),
            "dec": pa.array([None] * len(rows), pa.float64()),
            "content": [f"{row:032x}" for row in rows],
        }
    )
    values = np.array([np.random.default_rng(row).dirichlet(np.ones(tree.answer_count)) for row in rows])
    probabilities = values.reshape(-1, tree.answer_count).astype(np.float32)
    return catalogue_rows(tree, positions, probabilities, run, "w" * 64, [f"{unit.shard}#{r}" for r in rows])


def rejected_rows(unit: WorkUnit, bad: int) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"object_id": None, "shard": unit.shard, "row": row, "reason": "empty", "message": "no bytes"}
            for row in range(unit.stop - bad, unit.stop)
        ],
        schema=QUARANTINE_SCHEMA,
    )


def finish(layout: RunLayout, tree: DecisionTree, unit: WorkUnit, bad: int = 0) -> None:
    rows = classified_rows(tree, unit, layout.run, bad)
    record_unit(layout, unit, rows, rejected_rows(unit, bad), {"model": 0.5})
