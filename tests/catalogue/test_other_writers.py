"""What other programs do to the catalogue's table, as the Delta library lets them."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake

from pipeline.catalogue import read_state
from pipeline.catalogue.commit import commit_handlers, holds_columns, is_finished
from pipeline.catalogue.delta import open_version
from pipeline.catalogue.schema import catalogue_schema
from pipeline.catalogue.table import create_table, retention_seconds
from pipeline.errors import InputError
from pipeline.protocol import Plan, RunLayout, catalogue_uri, make_plan
from pipeline.protocol.commit import TableState
from pipeline.protocol.records import LeaseKeeper, plan_handlers, read_plans
from pipeline.protocol.run import DrawPlan, Outcome, classify, refresh
from pipeline.protocol.steps import Steps, perform
from pipeline.tree import DecisionTree, load_tree
from tests.support.damage import Made, clean_up_log
from tests.support.outputs import commit, record, rerun
from tests.support.tables import snapshot


def state(made: Made) -> TableState:
    found = read_state(made.layout.output)
    assert found is not None
    return found


def commit_again(made: Made) -> str:
    """Another run, committed; its name."""
    layout, plan = rerun(made.folder, made.plan)
    for unit in plan.units():
        record(layout, made.tree, unit, seed=7)
    commit(layout, made.tree, plan)
    return plan.run


CHANGES: dict[str, Callable[[DeltaTable], object]] = {
    "constraint": lambda table: table.alter.add_constraint({"named": "object_id IS NOT NULL"}),
    "description": lambda table: table.alter.set_table_description("mine"),
    "name": lambda table: table.alter.set_table_name("mine"),
    "comment": lambda table: table.alter.set_column_metadata("ra", {"comment": "J2000"}),
    "feature": lambda table: table.alter.add_feature(TableFeatures.AppendOnly, True),
    "property": lambda table: table.alter.set_table_properties(
        {"delta.deletedFileRetentionDuration": "interval 2 days"}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_no_row_leaves_the_rows_a_runs(
    made: Made, change: Callable[[DeltaTable], object]
) -> None:
    before = state(made)
    change(DeltaTable(str(made.catalogue)))
    assert state(made).version > before.version
    assert (state(made).run, state(made).content) == (made.plan.run, before.content)
    assert made.verify() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.delete("object_id IS NOT NULL"),
        lambda table: table.update({"ra": "0.0"}),
        lambda table: table.restore(0),
        lambda table: write_deltalake(table, snapshot(table.table_uri), mode="append"),
    ],
    ids=["delete", "update", "restore", "append"],
)
def test_what_changes_rows_makes_them_another_writers(
    made: Made, change: Callable[[DeltaTable], object]
) -> None:
    change(DeltaTable(str(made.catalogue)))
    assert (state(made).run, state(made).content) == (None, state(made).version)
    assert "found another writer's" in made.verify()[0]


def test_a_log_that_was_cleaned_up_still_tells_whose_the_rows_are(made: Made) -> None:
    second = commit_again(made)
    clean_up_log(made)
    after = state(made)
    assert after.run == second
    assert after.content is not None
    assert len(snapshot(catalogue_uri(made.layout.output), after.content)) == 21
    assert made.verify() == []


def test_a_log_that_was_cleaned_up_does_not_give_restored_rows_to_a_run(made: Made) -> None:
    commit_again(made)
    DeltaTable(str(made.catalogue)).restore(1)
    clean_up_log(made)
    assert state(made).run is None
    assert "found another writer's" in made.verify()[0]


def test_a_log_that_was_cleaned_up_does_not_give_rows_to_an_older_run(made: Made) -> None:
    second = commit_again(made)
    shutil.rmtree(RunLayout(made.layout.output, second).folder)
    clean_up_log(made)
    assert state(made).run is None


def test_rows_deleted_by_a_vector_are_another_writers(made: Made) -> None:
    """As Spark deletes: the file stays, and beside it is said which rows count no more."""
    log = made.catalogue / "_delta_log"
    actions = map(json.loads, (log / f"{1:020d}.json").read_text().splitlines())
    (add,) = [action["add"] for action in actions if "add" in action]
    DeltaTable(str(made.catalogue)).alter.add_feature(TableFeatures.DeletionVectors, True)
    vector = {
        "storageType": "i",
        "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000005c8Xg00000",
        "sizeInBytes": 34,
        "cardinality": 1,
    }
    entry = [
        {"commitInfo": {"timestamp": 1, "operation": "DELETE"}},
        {"remove": {"path": add["path"], "dataChange": True, "deletionTimestamp": 1}},
        {"add": {**add, "deletionVector": vector}},
    ]
    version = state(made).version + 1
    (log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, entry)))
    assert state(made).run is None
    clean_up_log(made)
    assert state(made).run is None


def call(made: Made, steps: Steps[Outcome], draft: Plan | None) -> Outcome:
    """A call that draws a certain plan, and does no unit."""
    output = made.layout.output
    handlers = {
        **LeaseKeeper(output, "test").handlers,
        **plan_handlers(output, lambda plan: is_finished(output, plan)),
        **commit_handlers(output, made.tree),
        DrawPlan: lambda _: draft,
    }
    return perform(steps, handlers)


@pytest.mark.parametrize(
    "verb", [refresh, functools.partial(classify, new_run=True)], ids=["refresh", "classify"]
)
def test_that_rows_may_not_be_replaced_is_told_before_any_work(
    made: Made, verb: Callable[[str], Steps[Outcome]]
) -> None:
    DeltaTable(str(made.catalogue)).alter.set_table_properties({"delta.appendOnly": "true"})
    draft = make_plan(made.plan.shards, made.plan.unit_rows, {"weights": "v" * 64})
    with pytest.raises(
        InputError, match=r"delta.appendOnly is true, .*; set it to false, or name another output"
    ):
        call(made, verb(made.layout.output), draft)
    assert [plan.run for plan in read_plans(made.layout.output)] == [made.plan.run]
    assert call(made, refresh(made.layout.output), None).status == "unchanged"
    assert made.verify() == []


def test_files_of_other_forms_beside_the_log_are_passed_over(made: Made) -> None:
    (made.catalogue / f"_delta_log/{0:020d}.{1:020d}.compacted.json").write_text("")
    assert made.verify() == []


def test_an_action_that_there_is_not_is_a_finding(made: Made) -> None:
    DeltaTable(str(made.catalogue)).alter.set_table_description("mine")
    made.log_file.write_text(made.log_file.read_text().replace("commitInfo", "c#mmitInfo"))
    assert "no action of the Delta protocol" in made.verify()[0]


def test_an_empty_catalogue_stays_so_when_it_is_fenced_off(tmp_path: Path, tree: DecisionTree) -> None:
    create_table(str(tmp_path), tree)
    catalogue = catalogue_uri(str(tmp_path))
    DeltaTable(catalogue).alter.set_table_description("mine")
    with pytest.raises(InputError, match="is empty: no run was committed yet"):
        open_version(catalogue)


def test_a_first_version_of_another_programs_is_not_empty(made: Made, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_deltalake(catalogue_uri(str(other)), snapshot(str(made.catalogue)))
    table = read_state(str(other))
    assert table is not None
    assert (table.content, table.run) == (0, None)


def test_rows_of_another_tree_cannot_be_kept(made: Made) -> None:
    output, other = made.layout.output, load_tree(Path("configs/trees/efigi.yaml"))
    assert holds_columns(output, catalogue_schema(made.tree), 1)
    assert not holds_columns(output, catalogue_schema(made.tree, uncertainty=True), 1)
    assert not holds_columns(output, catalogue_schema(made.tree, embedding=True), 1)
    assert not holds_columns(output, catalogue_schema(other), 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7 days", 604_800), ("INTERVAL 1 Week", 604_800), ("interval 1 day 2 hours", 93_600)],
)
def test_a_tables_retention_time_is_understood(text: str, seconds: float) -> None:
    assert retention_seconds(text) == seconds


@pytest.mark.parametrize("text", ["interval 1 month", "a week", "7", ""])
def test_a_retention_time_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"deletedFileRetentionDuration is .*; expected a duration such as"):
        retention_seconds(text)
