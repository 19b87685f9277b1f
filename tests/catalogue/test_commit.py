from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline.catalogue import answer_matrix, catalogue_schema, is_committed
from pipeline.errors import InputError
from pipeline.protocol import Plan, RunLayout, catalogue_uri
from pipeline.protocol.records import read_ledger, summarize
from pipeline.tree import DecisionTree
from tests.support.runs import finish
from tests.support.steps import commit_run
from tests.support.tables import snapshot


def finish_all(layout: RunLayout, tree: DecisionTree, plan: Plan, bad: int = 1) -> None:
    for unit in reversed(list(plan.units())):
        finish(layout, tree, unit, bad)


def test_the_catalogue_holds_every_row_in_the_order_of_the_plan(
    layout: RunLayout, tree: DecisionTree, plan: Plan
) -> None:
    finish_all(layout, tree, plan)
    ledger = read_ledger(layout)
    commit_run(layout, tree, plan, ledger, epoch=1)
    table = snapshot(catalogue_uri(layout.output))
    expected = [f"{unit.shard}-{row}" for unit in plan.units() for row in range(unit.start, unit.stop - 1)]
    assert table["object_id"].to_pylist() == expected
    assert table.schema.names == catalogue_schema(tree).names
    assert pq.read_table(layout.quarantine).num_rows == 4
    summary = summarize(plan, ledger, 3.0)
    assert (summary.rows, summary.classified, summary.quarantined) == (25, 21, {"empty": 4})


def test_a_commit_happens_once(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    finish_all(layout, tree, plan)
    ledger = read_ledger(layout)
    assert not is_committed(layout.output, plan)
    for _ in range(3):
        commit_run(layout, tree, plan, ledger, epoch=1)
    table = DeltaTable(catalogue_uri(layout.output))
    assert is_committed(layout.output, plan)
    assert table.version() == 1
    assert snapshot(catalogue_uri(layout.output)).num_rows == 21


def test_a_commit_whose_answer_is_lost_counts_and_one_that_fails_is_tried_again(
    layout: RunLayout, tree: DecisionTree, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_all(layout, tree, plan)
    write, calls = DeltaTable.create_write_transaction, []

    def fail_before_then_after(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            write(*args, **options)
        raise OSError("Generic S3 error: connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail_before_then_after)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    assert len(calls) == 2
    assert snapshot(catalogue_uri(layout.output)).num_rows == 21


def test_a_commit_that_keeps_failing_is_told(
    layout: RunLayout, tree: DecisionTree, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_all(layout, tree, plan)

    def fail(*args: object, **options: object) -> None:
        raise OSError("Generic S3 error: connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(InputError, match=r"cannot commit to .*catalogue: Generic S3 error: "):
        commit_run(layout, tree, plan, read_ledger(layout), epoch=1)


def test_an_unfinished_run_is_not_committed(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    finish(layout, tree, list(plan.units())[1])
    with pytest.raises(InputError, match="3 of 4 units are not finished, first unit 0"):
        commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    assert not Path(catalogue_uri(layout.output)).exists()


def test_a_run_with_every_row_bad_gives_an_empty_catalogue(
    layout: RunLayout, tree: DecisionTree, plan: Plan
) -> None:
    for unit in plan.units():
        finish(layout, tree, unit, bad=unit.rows)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    assert snapshot(catalogue_uri(layout.output)).num_rows == 0
    assert pq.read_table(layout.quarantine).num_rows == 25


def test_a_new_run_replaces_the_snapshot_and_keeps_the_old(
    layout: RunLayout, tree: DecisionTree, plan: Plan
) -> None:
    finish_all(layout, tree, plan)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    second = plan.model_copy(update={"run": "second"})
    other = RunLayout(layout.output, "second")
    finish_all(other, tree, second, bad=0)
    commit_run(other, tree, second, read_ledger(other), epoch=1)
    uri = catalogue_uri(layout.output)
    assert snapshot(uri).num_rows == 25
    assert snapshot(uri, version=1).num_rows == 21
    assert snapshot(uri, version=0).num_rows == 0


def test_other_programs_read_it(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    """Plain Parquet types: what DuckDB reads from the files is what was written."""
    finish_all(layout, tree, plan)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    table = snapshot(catalogue_uri(layout.output))
    files = f"{catalogue_uri(layout.output)}/*.parquet"
    query = f"select sum(spiral_winding_loose), count(*) from read_parquet('{files}')"
    found = duckdb.connect().execute(query).fetchall()
    assert found[0][1] == 21
    assert found[0][0] == pytest.approx(sum(table["spiral_winding_loose"].to_pylist()), rel=1e-5)
    assert {field.type for field in table.schema} <= {pa.string(), pa.float32(), pa.float64()}


def test_most_probable_answer_and_agreement(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    finish_all(layout, tree, plan)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    table = snapshot(catalogue_uri(layout.output))
    matrix = answer_matrix(tree, table)
    smooth = matrix[:, tree.slices["smooth_or_featured"]]
    keys = np.array(["smooth", "featured_or_disk", "artifact"], object)
    asked = smooth.sum(axis=1) >= 0.5
    answers = [
        key if is_asked else None for key, is_asked in zip(keys[smooth.argmax(axis=1)], asked, strict=True)
    ]
    assert table["smooth_or_featured_answer"].to_pylist() == answers
    p = smooth[0] / smooth[0].sum()
    expected = 1 + (p * np.log(p)).sum() / np.log(3)
    assert table["smooth_or_featured_agreement"][0].as_py() == pytest.approx(expected, abs=1e-6)
