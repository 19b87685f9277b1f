"""A run killed anywhere, followed by the same command, ends as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.faults import CRASH_AT, POINTS
from tests.faults.harness import Run, running, wait_for
from tests.faults.survey import write_survey
from tests.support.command import tuningfork_here
from tests.support.tables import snapshot

GALAXIES, UNITS = 12, 6


@dataclass(frozen=True)
class Undisturbed:
    """What a run that nobody killed gave."""

    folder: Path
    catalogue: pa.Table
    quarantine: pa.Table


def classify(output: str) -> list[str]:
    return ["classify", "input=cutouts", f"output={output}", f"unit_rows={GALAXIES // UNITS}"]


def catalogue(output: Path) -> pa.Table:
    return snapshot(str(output / "catalogue")).sort_by("object_id")


def quarantine(output: Path) -> pa.Table:
    (file,) = output.glob("runs/*/quarantine.parquet")
    return pq.read_table(file).sort_by([("shard", "ascending"), ("row", "ascending")])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("kills")
    write_survey(folder / "cutouts", GALAXIES)
    done = tuningfork_here(*classify("quiet"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return Undisturbed(folder, catalogue(folder / "quiet"), quarantine(folder / "quiet"))


def assert_same_as(undisturbed: Undisturbed, output: str) -> None:
    folder = undisturbed.folder / output
    assert catalogue(folder).equals(undisturbed.catalogue)
    assert quarantine(folder).equals(undisturbed.quarantine)
    entries = [json.loads(path.read_text()) for path in folder.glob("runs/*/ledger/*.json")]
    assert sum(entry["rows"] for entry in entries) == GALAXIES


def finish(undisturbed: Undisturbed, output: str) -> str:
    done = tuningfork_here(*classify(output), cwd=undisturbed.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def units_done(folder: Path) -> int:
    return len(list(folder.glob("runs/*/ledger/*.json")))


@pytest.mark.parametrize(
    "title",
    [
        pytest.param("DecodeActor)).submit", marks=pytest.mark.long),
        pytest.param("ModelActor)).submit", marks=pytest.mark.long),
        pytest.param("SinkActor)).submit", marks=pytest.mark.long),
    ],
)
def test_a_killed_worker_is_replaced_within_the_run(undisturbed: Undisturbed, title: str) -> None:
    """Each is killed while it works on a unit: Ray names a process after what it does."""
    output = "worker_" + "".join(filter(str.isalpha, title))
    with running(classify(output), undisturbed.folder) as run:
        run.kill(title)
        assert units_done(undisturbed.folder / output) < UNITS
        assert run.wait() == 0, run.text()
    assert_same_as(undisturbed, output)


def after(units: int) -> Callable[[Run, Path], None]:
    def kill(run: Run, output: Path) -> None:
        wait_for(lambda: units_done(output) >= units, seconds=120)
        run.process.kill()

    return kill


@pytest.mark.parametrize("units", [pytest.param(0, marks=pytest.mark.long), 3])
def test_a_killed_driver_is_continued(undisturbed: Undisturbed, units: int) -> None:
    output = f"driver_{units}"
    with running(classify(output), undisturbed.folder) as run:
        after(units)(run, undisturbed.folder / output)
        assert run.wait() == -9
    finish(undisturbed, output)
    assert_same_as(undisturbed, output)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_the_worst_moment_is_continued(undisturbed: Undisturbed, point: str) -> None:
    """The driver dies at the point, and all that it had started right after it, as when the power fails."""
    output = f"crash_{point}"
    with running(classify(output), undisturbed.folder, {CRASH_AT: point}) as run:
        assert run.process.wait(300) == -9, run.text()
    committed = (undisturbed.folder / output / "catalogue/_delta_log" / f"{1:020d}.json").exists()
    assert committed == (point in ("after_commit", "after_report"))
    text = finish(undisturbed, output)
    assert ("continues" in text) == (point != "after_part")
    assert_same_as(undisturbed, output)
    assert len(list((undisturbed.folder / output / "catalogue/_delta_log").glob("*.json"))) == 2


@pytest.mark.long
def test_of_two_runs_at_once_one_says_so_and_leaves(undisturbed: Undisturbed) -> None:
    with running(classify("contended"), undisturbed.folder) as first:
        wait_for(lambda: (undisturbed.folder / "contended/lease.json").exists(), seconds=60)
        with running(classify("contended"), undisturbed.folder) as second:
            assert second.wait() == 3
            assert "is held by run" in second.text()
        assert first.wait() == 0, first.text()
    assert_same_as(undisturbed, "contended")
