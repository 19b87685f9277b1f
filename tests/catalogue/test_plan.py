from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import Plan, PlannedShard, adopt_plan, make_plan
from pipeline.errors import InputError


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


def test_a_new_run_of_the_same_fingerprint_has_a_name_of_its_own(tmp_path: Path, plan: Plan) -> None:
    runs = [adopt_plan(str(tmp_path), plan, new_run=new).run for new in (False, True, True)]
    assert runs == [plan.run, f"{plan.run}-2", f"{plan.run}-3"]


def test_a_new_run_that_was_interrupted_is_continued(tmp_path: Path, plan: Plan) -> None:
    adopt_plan(str(tmp_path), plan)
    second = adopt_plan(str(tmp_path), plan, new_run=True)
    again = adopt_plan(str(tmp_path), plan, new_run=True, is_finished=lambda run: run.run != second.run)
    assert again == second


def test_a_damaged_plan_is_named(tmp_path: Path, plan: Plan) -> None:
    adopt_plan(str(tmp_path), plan)
    (stored,) = tmp_path.glob("runs/*/plan.json")
    stored.write_text('{"run": 1}')
    with pytest.raises(InputError, match=r"plan\.json is not a plan"):
        adopt_plan(str(tmp_path), plan)
