from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import changed_settings
from pipeline.errors import InputError
from pipeline.protocol import Plan, PlannedShard, make_plan
from pipeline.protocol.layout import runs_folder
from pipeline.protocol.records import read_ledger
from pipeline.protocol.vacuum import Options
from pipeline.upkeep import vacuum_output
from tests.support.damage import Made
from tests.support.outputs import record, rerun
from tests.support.steps import adopt_plan, commit_run, try_out_plan

VERSION_1 = {
    "schema": "1",
    "numerics": "answers 1, torch 2.13, simplejpeg 1.9, sep 1.4, astropy 8.0, scipy 1.17",
}
"""What a run's fingerprint holds beside its input and settings, where the answers are of version 1."""

UNDECLARED = {
    "code": "58f636573241c722a3f51316c4fdf8b3d1fd42d7181e3d6df620e9f473948a31",
    "numerics": "132caf3d5fb5194a62d946af2b48fc03a66dde239f6789495564d4c6e3bd541e",
}
"""What the last version wrote instead, of the same code, before versions of answers were declared: digests of
the text of its folders."""


def rewritten(plan: Plan, parts: dict[str, str]) -> Plan:
    """A plan as code of other numerics makes it."""
    kept = {name: value for name, value in plan.fingerprint.items() if name not in VERSION_1}
    return plan.model_copy(update={"fingerprint": kept | parts})


@settings(deadline=None)
@given(rows=st.lists(st.integers(1, 500), min_size=1, max_size=8), unit_rows=st.integers(1, 200))
def test_units_cover_every_row_once(rows: list[int], unit_rows: int) -> None:
    shards = [PlannedShard(uri=f"s{i}", size=1, etag="", rows=n) for i, n in enumerate(rows)]
    plan = make_plan(shards, unit_rows, {})
    units = list(plan.units())
    covered = [(unit.shard, row) for unit in units for row in range(unit.start, unit.stop)]
    assert covered == [(f"s{i}", row) for i, n in enumerate(rows) for row in range(n)]
    assert [unit.index for unit in units] == list(range(plan.unit_count))
    assert all(1 <= unit.rows <= unit_rows for unit in units)
    assert plan.rows == sum(rows)


def test_duplicates_go_to_the_unit_that_holds_them(plan: Plan) -> None:
    assert [unit.duplicates for unit in plan.units()] == [(), (), (0,), (11,)]


def test_the_same_inputs_give_the_same_run(plan: Plan) -> None:
    again = make_plan(plan.shards, plan.unit_rows, {"weights": "w" * 64})
    assert (again.run, again.fingerprint) == (plan.run, plan.fingerprint)


def test_a_run_is_continued(tmp_path: Path, plan: Plan) -> None:
    first = adopt_plan(str(tmp_path), plan)
    later = plan.model_copy(update={"created": "2099-01-01T00:00:00+00:00"})
    assert adopt_plan(str(tmp_path), later) == first


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": {"weights": "v" * 64}}, "weights (was wwwwwwwwwwww…, is vvvvvvvvvvvv…)"),
        ({"settings": {"weights": "w" * 64, "decoder": "gpu"}}, "decoder (was cpu, is gpu)"),
        ({"unit_rows": 11}, "unit_rows (was 10, is 11)"),
        ({"etag": "other"}, "input (0 shards added, 0 gone, 1 changed, such as b.parquet)"),
        ({"uri": "c.parquet"}, "input (1 shards added, 1 gone, 0 changed)"),
    ],
)
def test_a_changed_run_is_refused_and_says_what_changed(
    tmp_path: Path, plan: Plan, change: dict[str, object], named: str
) -> None:
    adopt_plan(str(tmp_path), plan)
    shard_change = {key: value for key, value in change.items() if key in {"etag", "uri"}}
    shards = [plan.shards[0], plan.shards[1].model_copy(update=shard_change)]
    settings = change.get("settings", {"weights": "w" * 64})
    assert isinstance(settings, dict)
    other = make_plan(shards, int(str(change.get("unit_rows", 10))), settings)
    with pytest.raises(InputError, match="holds run") as error:
        adopt_plan(str(tmp_path), other)
    assert named in str(error.value)
    assert "new_run=true" in str(error.value)
    assert adopt_plan(str(tmp_path), other, new_run=True).run == f"{other.run}-2"


def test_a_run_of_the_gpus_decoder_is_not_continued_by_the_cpu(tmp_path: Path, plan: Plan) -> None:
    by_gpu = make_plan(plan.shards, plan.unit_rows, {"weights": "w" * 64, "decoder": "gpu"})
    adopt_plan(str(tmp_path), by_gpu)
    with pytest.raises(InputError, match=r"from something else: decoder \(was gpu, is cpu\)\. "):
        adopt_plan(str(tmp_path), plan)


def test_a_new_run_of_the_same_fingerprint_has_a_name_of_its_own(tmp_path: Path, plan: Plan) -> None:
    runs = [adopt_plan(str(tmp_path), plan, new_run=new).run for new in (False, True, True)]
    assert runs == [plan.run, f"{plan.run}-2", f"{plan.run}-3"]


def test_a_new_run_that_was_interrupted_is_continued(tmp_path: Path, plan: Plan) -> None:
    adopt_plan(str(tmp_path), plan)
    second = adopt_plan(str(tmp_path), plan, new_run=True)
    again = adopt_plan(str(tmp_path), plan, new_run=True, is_finished=lambda run: run.run != second.run)
    assert again == second


def test_a_new_run_whose_rows_were_replaced_is_not_continued(made: Made) -> None:
    """It was killed after its commit; then the version before it was restored."""
    layout, second = rerun(made.folder, made.plan)
    for unit in second.units():
        record(layout, made.tree, unit)
    commit_run(layout, made.tree, second, read_ledger(layout), epoch=2)

    def adopted() -> str:
        return adopt_plan(
            layout.output, made.plan, new_run=True, is_finished=lambda run: run.run != second.run
        ).run

    assert adopted() == second.run
    DeltaTable(str(made.catalogue)).restore(1)
    assert adopted() == f"{made.plan.run}-3"


def test_a_run_gets_no_name_that_the_catalogue_has(made: Made) -> None:
    """Also where the folders of all runs were removed."""
    shutil.rmtree(runs_folder(made.layout.output))
    assert adopt_plan(made.layout.output, made.plan).run == f"{made.plan.run}-2"


def test_a_run_whose_parts_are_gone_is_not_continued_over_another_catalogue(made: Made) -> None:
    vacuum_output(made.layout.output, Options(grace=0, parts=True))
    assert adopt_plan(made.layout.output, made.plan) == made.plan
    shutil.rmtree(made.catalogue)
    assert adopt_plan(made.layout.output, made.plan).run == f"{made.plan.run}-2"


def test_trying_out_tells_what_a_run_would_do_or_refuses_as_it_would(made: Made) -> None:
    output = made.layout.output
    assert try_out_plan(output, made.plan).status == "complete"
    changed = (made.plan.shards[0], made.plan.shards[1].model_copy(update={"etag": "other"}))
    other = made.plan.fingerprint | {"input": "other"}
    draft = made.plan.model_copy(update={"shards": changed, "fingerprint": other})
    with pytest.raises(InputError) as tried:
        try_out_plan(output, draft)
    with pytest.raises(InputError) as adopted:
        adopt_plan(output, draft)
    assert str(tried.value) == str(adopted.value)
    assert "`tuningfork refresh` brings it up to date, and classifies only what is new" in str(tried.value)


def test_trying_out_writes_nothing(tmp_path: Path, plan: Plan) -> None:
    assert try_out_plan(str(tmp_path / "new"), plan).status == "due"
    assert list(tmp_path.iterdir()) == []


def test_a_refresh_that_was_cut_short_is_not_told_as_done(made: Made) -> None:
    shards = [made.plan.shards[0], made.plan.shards[1].model_copy(update={"etag": "other"})]
    draft = make_plan(shards, made.plan.unit_rows, {"weights": "w" * 64}, made.plan.run, 1)
    adopt_plan(made.layout.output, draft, new_run=True)
    with pytest.raises(InputError, match="is about to be brought up to date by `refresh`"):
        adopt_plan(made.layout.output, made.plan)


def test_a_run_that_was_begun_before_versions_were_declared_is_continued(tmp_path: Path, plan: Plan) -> None:
    begun = adopt_plan(str(tmp_path), rewritten(plan, UNDECLARED))
    present = rewritten(plan, VERSION_1)
    assert adopt_plan(str(tmp_path), present) == begun


def test_a_run_of_still_other_code_is_refused_in_words(tmp_path: Path, plan: Plan) -> None:
    adopt_plan(str(tmp_path), rewritten(plan, UNDECLARED | {"code": "f" * 64}))
    with pytest.raises(InputError, match=r"numerics \(an earlier version's, which tells too little") as error:
        adopt_plan(str(tmp_path), rewritten(plan, VERSION_1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (VERSION_1, []),
        (UNDECLARED, []),
        (
            UNDECLARED | {"code": "f" * 64},
            [
                "schema (was none, is 1)",
                "numerics (an earlier version's, which tells too little to compare, is answers 1)",
            ],
        ),
        (
            VERSION_1 | {"numerics": VERSION_1["numerics"].replace("torch 2.13", "torch 2.12")},
            ["numerics (torch was 2.12, is 2.13)"],
        ),
        (
            VERSION_1 | {"numerics": VERSION_1["numerics"].replace("answers 1", "answers 1+0123456789ab")},
            ["numerics (answers was 1+0123456789ab, is 1)"],
        ),
    ],
)
def test_a_refresh_says_what_decides_answers_otherwise(
    plan: Plan, before: dict[str, str], said: list[str]
) -> None:
    assert changed_settings(rewritten(plan, before), rewritten(plan, VERSION_1).fingerprint) == said


def test_a_damaged_plan_is_named(tmp_path: Path, plan: Plan) -> None:
    adopt_plan(str(tmp_path), plan)
    (stored,) = tmp_path.glob("runs/*/plan.json")
    stored.write_text('{"run": 1}')
    with pytest.raises(InputError, match=r"plan\.json is not a plan"):
        adopt_plan(str(tmp_path), plan)
