"""Processes that sleep at the worst moment, while others go on: nothing is lost, doubled or mixed.

A sleeper is stopped by a signal, and takes itself to be on a machine of its own, so that nobody can look up
whether it is alive: another takes its lease over after a lifetime without a beat.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline.faults import CRASH_AT
from tests.faults.company import Player, company
from tests.faults.history import current, doubled, precisions, versions
from tests.faults.stage import Stage
from tests.faults.survey import BAD_EVERY, cutout_table
from tests.support.tables import snapshot

SETTINGS = ("transforms=1", "precision=float32", "unit_rows=8")
DAYS = 24 * 3600

HERE, THERE = (Stage(host=host, lifetime=4, report=False) for host in ("here", "there"))


@dataclass(frozen=True)
class Survey:
    """Cutouts in a folder, and an output beside them."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def add(self, name: str, first: int, count: int) -> None:
        """Write a shard."""
        path = self.folder / "cutouts" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(cutout_table(first, count), path, row_group_size=10)

    def start(self, verb: str, *words: str, stage: Stage = HERE, **environment: str) -> Player:
        """A verb on a stage."""
        every = [verb, "input=cutouts", "output=out", *SETTINGS, *words]
        if verb in ("vacuum", "verify"):
            every = [verb, "out", *words]
        return Player(every, stage, self.folder, environment)

    @contextmanager
    def sleeping(self, verb: str, *words: str, stage: Stage) -> Iterator[Player]:
        """A verb that has come to where it stops; killed at the end if it still goes."""
        player = self.start(verb, *words, stage=stage)
        try:
            player.wait_until_stopped()
            yield player
        finally:
            player.signal(signal.SIGKILL)
            player.wait()

    def succeed(self, verb: str, *words: str, stage: Stage = HERE) -> str:
        """The text of a verb that ends well."""
        player = self.start(verb, *words, stage=stage)
        assert player.wait() == 0, player.text()
        return player.text()

    def data_files(self) -> set[Path]:
        return set(self.output.glob("catalogue/*.parquet"))

    def assert_complete(self, galaxies: int) -> None:
        """Every version can be read, none has a galaxy twice, and the newest has the source's."""
        history = versions(str(self.output))
        assert [doubled(version) for version in history] == [[]] * len(history)
        good = [f"g{index:06d}" for index in range(galaxies) if index % BAD_EVERY != 5]
        assert current(history[-1]) == good
        self.succeed("verify")


@pytest.fixture(scope="module", autouse=True)
def _company() -> Iterator[None]:
    with company():
        yield


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    """Forty galaxies in two shards."""
    survey = Survey(tmp_path)
    survey.add("a", 0, 20)
    survey.add("b", 20, 20)
    return survey


@pytest.fixture(scope="module")
def _classified(tmp_path_factory: pytest.TempPathFactory, _company: None) -> Survey:
    survey = Survey(tmp_path_factory.mktemp("classified"))
    survey.add("a", 0, 20)
    survey.add("b", 20, 20)
    survey.succeed("classify")
    return survey


@pytest.fixture
def classified(_classified: Survey) -> Iterator[Survey]:
    """The same, with its catalogue; in the folder where it was made, which its plan names."""
    kept = _classified.folder / "kept"
    shutil.copytree(_classified.output, kept / "out")
    shutil.copytree(_classified.folder / "cutouts", kept / "cutouts")
    try:
        yield _classified
    finally:
        for name in ("out", "cutouts"):
            shutil.rmtree(_classified.folder / name)
            shutil.move(kept / name, _classified.folder / name)
        kept.rmdir()


def age(files: Iterable[Path], days: float) -> None:
    """Make files older, by the clock of the store."""
    for file in files:
        modified = file.stat().st_mtime - days * DAYS
        os.utime(file, (modified, modified))


def test_a_first_commit_that_slept_is_made_once(survey: Survey) -> None:
    with survey.sleeping("classify", stage=replace(HERE, stop_at="in_compaction")) as sleeper:
        survey.succeed("classify", stage=THERE)
        sleeper.signal(signal.SIGCONT)
        assert sleeper.wait() == 3, sleeper.text()
    survey.assert_complete(40)


@pytest.mark.long
def test_a_restored_catalogue_is_brought_up_to_date(classified: Survey) -> None:
    survey = classified
    before = DeltaTable(str(survey.output / "catalogue")).version()
    survey.add("c", 40, 40)
    survey.succeed("refresh")
    DeltaTable(str(survey.output / "catalogue")).restore(before)
    assert "Nothing changed" not in survey.succeed("refresh")
    survey.assert_complete(80)
    survey.add("d", 80, 20)
    survey.succeed("refresh")
    survey.assert_complete(100)


def test_what_another_program_wrote_is_classified_anew(classified: Survey) -> None:
    survey = classified
    catalogue = str(survey.output / "catalogue")
    write_deltalake(catalogue, snapshot(catalogue), mode="append")
    DeltaTable(catalogue).update({"smooth_or_featured_smooth": "0.5"}, predicate="object_id > 'g000020'")
    survey.succeed("refresh")
    assert doubled(versions(str(survey.output))[-1]) == []
    survey.succeed("verify")
    assert 0.5 not in snapshot(catalogue)["smooth_or_featured_smooth"].to_pylist()


def test_a_vacuum_keeps_out_a_commit_whose_files_it_removes(classified: Survey) -> None:
    survey, before = classified, classified.data_files()
    survey.add("c", 40, 10)
    stage = replace(HERE, stop_at="in_compaction", stop_when="out/catalogue/*.parquet")
    with survey.sleeping("refresh", stage=stage) as sleeper:
        age(survey.data_files(), 3)
        vacuum = survey.start("vacuum")
        assert vacuum.wait() == 3, vacuum.text()
        survey.succeed("vacuum", stage=THERE)
        assert survey.data_files() == before
        sleeper.signal(signal.SIGCONT)
        assert sleeper.wait() == 3, sleeper.text()
    survey.succeed("refresh")
    survey.assert_complete(50)


@pytest.mark.long
def test_a_vacuum_whose_clock_is_ahead_removes_nothing_young(survey: Survey) -> None:
    crashed = survey.start("classify", **{CRASH_AT: "after_part"})  # type: ignore[arg-type]
    assert crashed.wait() == -signal.SIGKILL, crashed.text()

    def files() -> set[Path]:
        return survey.data_files() | set(survey.output.glob("runs/*/parts/*"))

    left = files()
    stage = replace(HERE, stop_at="in_compaction", stop_when="out/catalogue/*.parquet")
    with survey.sleeping("classify", stage=stage) as sleeper:
        sleeper.signal(signal.SIGKILL)
        sleeper.wait()
    left |= survey.data_files()
    survey.succeed("classify")
    before = files()
    survey.succeed("vacuum", stage=replace(HERE, ahead=2 * DAYS))
    assert files() == before
    age(before, 2)
    survey.succeed("vacuum")
    assert before - files() == left
    survey.assert_complete(40)


def test_rows_of_two_runs_are_never_in_one_version(classified: Survey) -> None:
    survey = classified
    survey.add("c", 40, 10)
    anew = ("new_run=true", "precision=bfloat16")
    with (
        survey.sleeping("classify", *anew, stage=replace(HERE, stop_at="in_compaction")) as classifying,
        survey.sleeping("refresh", stage=replace(THERE, stop_at="after_ledger")) as refreshing,
    ):
        classifying.signal(signal.SIGCONT)
        assert classifying.wait() in (0, 3), classifying.text()
        refreshing.signal(signal.SIGCONT)
        assert refreshing.wait() in (0, 1, 3), refreshing.text()
    for version in versions(str(survey.output)):
        assert len(precisions(survey.output, version)) <= 1
    survey.succeed("refresh")
    survey.assert_complete(50)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(replace(HERE, stop_when="out/runs/*/plan.json"), marks=pytest.mark.long),
        replace(HERE, stop_at="after_ledger"),
    ],
    ids=["before it is read", "before the commit"],
)
def test_an_input_rewritten_in_mid_run_is_not_committed(survey: Survey, stage: Stage) -> None:
    with survey.sleeping("classify", stage=stage) as sleeper:
        copy = shutil.copy(survey.folder / "cutouts/a.parquet", survey.folder / "copy")
        os.replace(copy, survey.folder / "cutouts/b.parquet")
        sleeper.signal(signal.SIGCONT)
        assert sleeper.wait() == 2, sleeper.text()
    (line,) = [line for line in sleeper.text().splitlines() if line.startswith("tuningfork:")]
    assert "cutouts/b.parquet was rewritten" in line
    assert not any(map(len, versions(str(survey.output))))


def test_a_checkpoint_hides_no_version_from_a_vacuum(classified: Survey) -> None:
    """A checkpoint forgets files that were superseded longer ago than the table's retention time."""
    survey = classified
    superseded = survey.data_files()
    survey.add("c", 40, 10)
    survey.succeed("refresh")
    table = DeltaTable(str(survey.output / "catalogue"))
    time.sleep(2)
    while table.version() <= 100:
        table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 1 second"})
    table.create_checkpoint()
    age(survey.data_files(), 3)
    before = survey.data_files()
    survey.succeed("vacuum")
    assert survey.data_files() == before
    survey.assert_complete(50)
    survey.succeed("vacuum", "history=true")
    assert survey.data_files() == before - superseded
    survey.succeed("verify")
