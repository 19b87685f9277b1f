"""Status by the ledger alone, while a run is going and after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.protocol import LedgerEntry
from pipeline.tree import DecisionTree
from pipeline.upkeep import RunStatus, output_status
from pipeline.upkeep.status import recent_rate
from tests.support.outputs import commit, make_output, plan_run, record, rerun

START = datetime(2026, 1, 1, tzinfo=UTC)


def entries(finished: Sequence[float | None], rows: int = 100, work: float = 4.0) -> list[LedgerEntry]:
    """Units of `rows` galaxies that finished at these seconds."""
    return [
        LedgerEntry(
            unit=unit,
            rows=rows,
            classified=rows,
            quarantined={},
            part=None,
            rejects=None,
            seconds={"model": work},
            node="a",
            finished=None if at is None else (START + timedelta(seconds=at)).isoformat(),
        )
        for unit, at in enumerate(finished)
    ]


@pytest.mark.parametrize(
    ("finished", "rate"),
    [
        ([], None),
        ([None, None], None),
        ([7], 25.0),  # 100 galaxies in 4 s of work
        ([0, 10], 10.0),
        ([30, 0, 10, 20], 10.0),
        ([0, 10, 20, 3620, 3625, 3630], 20.0),  # stopped for an hour, twice as fast since
        ([0, 10, 20, 3620], 25.0),  # one unit since the pause
        ([0, 600, 1200, 1800], 1 / 6),  # slow, but without a pause
        ([5, 5, 5], 25.0),
        ([0, 10, None], 10.0),
    ],
)
def test_the_rate_is_that_since_the_last_pause(finished: list[float | None], rate: float | None) -> None:
    assert recent_rate(entries(finished)) == (None if rate is None else pytest.approx(rate))


def test_a_run_from_plan_to_commit(tmp_path: Path, tree: DecisionTree) -> None:
    layout, plan = plan_run(tmp_path, tree)

    def look() -> RunStatus:
        (status,) = output_status(layout.output)
        return status

    empty = look()
    assert (empty.done, empty.units, empty.rows, empty.classified) == (0, 4, 25, 0)
    assert (empty.rate, empty.seconds_left, empty.finished) == (None, None, None)
    first, *others = plan.units()
    record(layout, tree, first)
    one = look()
    assert (one.done, one.classified, one.quarantined) == (1, 9, {"truncated": 1})
    assert one.rate == pytest.approx(10 / 0.75)
    assert one.seconds_left == pytest.approx(15 * 0.75 / 10)
    assert one.seconds == {"decode": 0.25, "model": 0.5}
    for unit in others:
        record(layout, tree, unit)
    done = look()
    assert (done.done, done.classified, done.seconds_left, done.committed) == (4, 21, 0.0, False)
    assert done.finished is not None
    assert abs(datetime.now(UTC) - datetime.fromisoformat(done.finished)) < timedelta(minutes=5)
    commit(layout, tree, plan)
    assert look() == done.model_copy(update={"committed": True})


def test_runs_stand_latest_first(tmp_path: Path, tree: DecisionTree) -> None:
    _, plan = make_output(tmp_path, tree)
    layout, second = rerun(tmp_path, plan)
    found = output_status(layout.output)
    assert [(status.run, status.committed, status.done) for status in found] == [
        (second.run, False, 0),
        (plan.run, True, 4),
    ]


def test_what_is_no_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no output of classify"):
        output_status(str(tmp_path))
