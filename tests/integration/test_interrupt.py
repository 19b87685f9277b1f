"""A run that its user or the scheduler stops: one line, the usual status, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.faults.harness import Run, running, wait_for
from tests.faults.survey import write_survey
from tests.support.command import tuningfork_here

LINE = "tuningfork: interrupted; the same command continues"

STOPS = ((signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 3))
"""Signals, the exit status after each, and how many units are done when it comes."""


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve galaxies: six units."""
    folder = tmp_path_factory.mktemp("galaxies")
    write_survey(folder / "cutouts", 12)
    return folder / "cutouts"


def classify(cutouts: Path) -> list[str]:
    return ["classify", f"input={cutouts}", "output=out", "unit_rows=2", "precision=float32"]


def wait_for_units(run: Run, output: Path, count: int) -> None:
    wait_for(lambda: len(list(output.glob("runs/*/ledger/*.json"))) >= count, seconds=120)
    assert run.process.poll() is None, run.text()


@pytest.mark.parametrize(
    "stops", [STOPS[1:], pytest.param(STOPS, marks=pytest.mark.long)], ids=["once", "twice"]
)
def test_a_run_that_is_stopped_says_so_and_leaves_nothing_behind(
    cutouts: Path, tmp_path: Path, stops: tuple[tuple[signal.Signals, int, int], ...]
) -> None:
    output = tmp_path / "out"
    for number, status, units in stops:
        with running(classify(cutouts), tmp_path) as run:
            wait_for_units(run, output, units)
            run.process.send_signal(number)
            assert run.wait(60) == status
            wait_for(lambda: not list(run.processes()), seconds=30)
            *others, last = run.text().splitlines()
            assert last == LINE
            assert not [line for line in others if not line.startswith(("Starting Ray", "Run ", "Classi"))]
        assert json.loads((output / "lease.json").read_text())["holder"] is None
    completed = tuningfork_here(*classify(cutouts), cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert "continues" in completed.stdout


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.long)]
)
def test_a_run_that_is_stopped_while_ray_starts_says_so(
    cutouts: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with running(classify(cutouts), tmp_path) as run:
        wait_for(lambda: any(run.processes("gcs_server")), seconds=60)
        run.process.send_signal(number)
        assert run.wait(60) == status
        wait_for(lambda: not list(run.processes()), seconds=30)
        assert run.text().splitlines()[1:] == [LINE]
    assert json.loads((tmp_path / "out" / "lease.json").read_text())["holder"] is None


@pytest.mark.long
def test_a_signal_to_the_whole_group_comes_through_as_one(cutouts: Path, tmp_path: Path) -> None:
    """As `timeout` and terminals send it: to all that the run has started, to the driver perhaps twice."""
    with running(classify(cutouts), tmp_path, new_group=True) as run:
        wait_for_units(run, tmp_path / "out", 1)
        for _ in range(2):
            os.killpg(run.process.pid, signal.SIGTERM)
        assert run.wait(60) == 143
        assert run.text().splitlines()[-1] == LINE
        assert run.text().count("Traceback") == 0
    assert json.loads((tmp_path / "out" / "lease.json").read_text())["holder"] is None
