"""A catalogue kept up to date with a source that changes: a real Ray, real files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.faults import CRASH_AT, POINTS
from tests.faults.harness import running, wait_for
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

SETTINGS = ("transforms=1", "precision=float32", "unit_rows=8")
IMAGES = {f"g{index:02d}": png(galaxy(index, 120)) for index in range(44)}
BROKEN = b"no picture"
MARKS = {"g11": "gone", "g33": "quarantined", "g38": "gone"}
"""Of what `second` lacks."""

CHANGED = "3 new, 2 changed, 35 kept, 2 gone, 1 quarantined; of 37 compared"
"""What a refresh tells of its changes."""


def write(folder: Path, shards: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write a cutout set; a shard that is as it was isn't touched."""
    folder.mkdir(exist_ok=True)
    for name, images in shards.items():
        rows = [{"object_id": key, "ra": 1.0, "dec": 2.0, "image": image} for key, image in images.items()]
        table = pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA)
        path = folder / f"{name}.parquet"
        if not path.exists() or not pq.read_table(path).equals(table):
            pq.write_table(table, path, row_group_size=10)
    for path in folder.glob("*.parquet"):
        if path.stem not in shards:
            path.unlink()


def first() -> dict[str, dict[str, bytes]]:
    names = sorted(IMAGES)
    return {
        "a": {name: IMAGES[name] for name in names[:20]},
        "b": {name: IMAGES[name] for name in names[20:30]} | {"bad": BROKEN},
        "c": {name: IMAGES[name] for name in names[30:40]},
    }


def second() -> dict[str, dict[str, bytes]]:
    """Of `first`: 2 changed, 3 new, 2 gone, one that can't be read any more, one moved; b is untouched."""
    shards = first()
    a, c = shards["a"], shards["c"]
    a["g03"], a["g07"] = png(galaxy(103, 120)), png(galaxy(107, 120))
    del a["g11"]
    c["g33"] = BROKEN
    del c["g38"]
    c["g19"] = a.pop("g19")
    c |= {name: IMAGES[name] for name in ("g40", "g41")}
    shards["d"] = {"g42": IMAGES["g42"]}
    return shards


Facts = dict[str, tuple[str | None, list[float]]]


@dataclass(frozen=True)
class Output:
    """An output of a source that lies beside it."""

    folder: Path
    name: str

    @property
    def words(self) -> list[str]:
        return ["refresh", "input=cutouts", f"output={self.name}", *SETTINGS]

    def refresh(self, *words: str) -> str:
        done = tuningfork(*self.words, *words, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def verified(self) -> str:
        done = tuningfork("verify", self.name, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def copy(self, name: str) -> Output:
        shutil.copytree(self.folder / self.name, self.folder / name)
        return Output(self.folder, name)

    def catalogue(self, version: int | None = None) -> pa.Table:
        return snapshot(str(self.folder / self.name / "catalogue"), version).sort_by("object_id")

    @property
    def versions(self) -> int:
        """How many runs wrote one; the table begins with an empty one."""
        return int(DeltaTable(str(self.folder / self.name / "catalogue")).version())

    @property
    def facts(self) -> Facts:
        """Mark and answers of each galaxy; not where it stood, nor which run classified it."""
        table = self.catalogue()
        answers = np.stack([table[name].to_numpy() for name in table.schema.names[3:40]], axis=1)
        rows = zip(table["object_id"].to_pylist(), table["stale"].to_pylist(), answers, strict=True)
        return {name: (mark, row.tolist()) for name, mark, row in rows}

    @property
    def pages_of_changes(self) -> list[Path]:
        return sorted((self.folder / self.name).glob("runs/*/changes/report.html"))

    @property
    def marks(self) -> dict[str, str]:
        return {name: mark for name, (mark, _) in self.facts.items() if mark is not None}


def assert_same(found: Facts, expected: Facts) -> None:
    """The last digits of answers depend on what else is in a batch."""
    assert {name: mark for name, (mark, _) in found.items()} == {
        name: mark for name, (mark, _) in expected.items()
    }
    for name, (_, answers) in found.items():
        assert answers == pytest.approx(expected[name][1], abs=1e-5), name


@pytest.fixture(scope="module")
def outdated(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The catalogue of `first`, whose source has become `second`."""
    output = Output(tmp_path_factory.mktemp("refresh"), "outdated")
    write(output.folder / "cutouts", first())
    assert "all 41 galaxies are new" in output.refresh()
    output.verified()
    write(output.folder / "cutouts", second())
    return output


@pytest.fixture(scope="module")
def refreshed(outdated: Output) -> Output:
    output = outdated.copy("refreshed")
    text = output.refresh()
    assert "6 of 42 galaxies are new or have changed, 2 are gone" in text
    assert "5 galaxies classified, 1 quarantined (1 not_an_image)" in text
    assert f"Changes:   {CHANGED}" in text
    return output


def test_only_what_is_new_or_changed_is_classified(refreshed: Output) -> None:
    before, after = refreshed.catalogue(1), refreshed.catalogue()
    run = set(after["run"].to_pylist()) - set(before["run"].to_pylist())
    anew = after.filter(pc.is_in(after["run"], pa.array(sorted(run))))
    assert anew["object_id"].to_pylist() == ["g03", "g07", "g40", "g41", "g42"]
    ids = pa.array([name for name in before["object_id"].to_pylist() if name not in ("g03", "g07")])
    columns = [name for name in before.schema.names if name not in ("input", "stale")]
    old, new = (table.filter(pc.is_in(table["object_id"], ids)).select(columns) for table in (before, after))
    assert new.equals(old)


def test_what_is_gone_is_kept_and_marked(refreshed: Output) -> None:
    assert refreshed.marks == MARKS


def test_each_row_says_where_it_is_read_now(refreshed: Output) -> None:
    table = refreshed.catalogue()
    for row in table.filter(table["stale"].is_null()).select(["object_id", "input"]).to_pylist():
        shard, _, number = row["input"].rpartition("#")
        assert pq.read_table(shard)["object_id"][int(number)].as_py() == row["object_id"]


def test_it_is_verified_and_reported_as_a_whole(refreshed: Output) -> None:
    said = refreshed.verified()
    assert "42 input rows = 40 classified + 2 quarantined" in said
    assert "3 stale beside them" in said
    page = (refreshed.folder / refreshed.name / "report.html").read_text()
    assert "40 galaxies have a predicted morphology" in page


def test_it_tells_what_changed(refreshed: Output, outdated: Output) -> None:
    assert not outdated.pages_of_changes
    (page,) = refreshed.pages_of_changes
    assert CHANGED in page.read_text()
    rows = list(csv.reader((page.parent / "tables" / "galaxies.csv").open()))
    assert rows[1:5] == [["new", "3"], ["changed", "2"], ["classified anew", "0"], ["kept", "35"]]


def test_the_older_catalogue_is_still_there(refreshed: Output) -> None:
    older = refreshed.catalogue(1)
    words = ["export", f"{refreshed.name}/catalogue", "older.parquet", "--format", "parquet", "--as-of", "1"]
    done = tuningfork(*words, cwd=refreshed.folder)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(refreshed.folder / "older.parquet").sort_by("object_id").equals(older)


def test_nothing_changed_commits_nothing(refreshed: Output) -> None:
    def files() -> dict[Path, int]:
        folder = refreshed.folder / refreshed.name
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "lease.json"}

    before = {path: time for path, time in files().items() if path.is_file()}
    text = refreshed.refresh()
    assert "Nothing changed" in text
    assert "Starting Ray" not in text
    assert {path: time for path, time in files().items() if path.is_file()} == before


def test_a_report_that_was_removed_is_written_again(refreshed: Output) -> None:
    output = refreshed.copy("bare")
    page = output.folder / output.name / "report.html"
    page.unlink()
    text = output.refresh()
    assert "Nothing changed" in text
    assert f"Report:    {page}" in text
    assert "40 galaxies have a predicted morphology" in page.read_text()
    output.verified()


@pytest.mark.long
def test_other_settings_classify_everything(refreshed: Output) -> None:
    output = refreshed.copy("other")
    text = output.refresh("precision=bfloat16")
    assert ": precision (was float32, is bfloat16). All 42 galaxies" in text
    assert "40 galaxies classified, 2 quarantined" in text
    assert output.marks == MARKS
    assert "42 input rows = 40 classified + 2 quarantined" in output.verified()


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    POINTS,
)
def test_killed_at_any_step_it_is_continued(refreshed: Output, outdated: Output, point: str) -> None:
    output = outdated.copy(f"killed_{point}")
    with running(output.words, output.folder, {CRASH_AT: point}) as run:
        assert run.process.wait(300) == -9, run.text()
    assert not output.pages_of_changes
    assert CHANGED in output.refresh()
    assert len(output.pages_of_changes) == 1
    assert_same(output.facts, refreshed.facts)
    assert output.versions == 2
    output.verified()
    assert "Nothing changed" in output.refresh()


@pytest.mark.long
def test_of_two_at_once_one_works(refreshed: Output, outdated: Output) -> None:
    output = outdated.copy("contended")
    plans = output.folder / output.name / "runs"
    with running(output.words, output.folder) as one:
        wait_for(lambda: len(list(plans.glob("*/plan.json"))) == 2, seconds=60)
        with running(output.words, output.folder) as other:
            assert other.wait() == 3, other.text()
            assert "is held by run" in other.text()
        assert one.wait() == 0, one.text()
    assert_same(output.facts, refreshed.facts)
    assert output.versions == 2


@pytest.mark.long
def test_what_comes_back_is_current_again(refreshed: Output, outdated: Output) -> None:
    output = refreshed.copy("back")
    write(output.folder / "cutouts", first())
    try:
        output.refresh()
        output.verified()
    finally:
        write(output.folder / "cutouts", second())
    assert output.marks == dict.fromkeys(["g40", "g41", "g42"], "gone")
    assert_same({name: fact for name, fact in output.facts.items() if fact[0] is None}, outdated.facts)
