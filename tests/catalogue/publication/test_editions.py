"""Editions follow each other: by parts, in one step, and never mixed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hats.io.validation import is_valid_catalog

from pipeline import storage
from pipeline.catalogue.export import open_snapshot
from pipeline.catalogue.publication import publish
from pipeline.catalogue.publication.editions import Edition, Manifest
from pipeline.catalogue.snapshot import Progress
from pipeline.errors import HeldError, InputError
from pipeline.tree import DecisionTree
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.catalogue.publication.samples import ABOUT, assert_whole, current, published, tile, tiles, unseen
from tests.faults.harness import running, stop, wait_for
from tests.support.command import tuningfork_here
from tests.support.tables import snapshot

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of LSDB's own code

WORDS = [
    *("title=T", "licence=CC0-1.0", "creators=[{name: An Institute}]"),
    *("partition_rows=80", "coverage_order=6"),
]


def change_one(catalogue: str, row: int = 7) -> None:
    """A galaxy gets another answer, as a refresh writes it."""
    rows = snapshot(catalogue)
    values = rows["bar_yes"].to_pylist()
    values[row] = 0.123
    place = rows.schema.get_field_index("bar_yes")
    changed = rows.set_column(place, rows.schema.field(place), pa.array(values, pa.float32()))
    write_deltalake(catalogue, changed, mode="overwrite")


def inodes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_ino
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_what_has_changed_is_written(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 1000), tmp_path / "out"
    published(catalogue, out, tree, partition_rows=80)
    first, before = current(out), inodes(current(out))
    change_one(catalogue)
    done = published(catalogue, out, tree, partition_rows=80)
    after, manifest = inodes(current(out)), assert_whole(out)
    assert current(out) != first
    parts = [name for name in after if name.endswith((".parquet", ".tsv")) and "Npix" in name]
    anew = [name for name in parts if after[name] != before[name]]
    assert len(parts) > 40
    assert [name.split("/")[0] for name in sorted(anew)] == ["hats", "hips"]
    assert done.written < 25
    assert len(manifest["files"]) == done.files
    assert is_valid_catalog(current(out) / "hats", strict=True)
    assert readers.hats_columns(str(current(out) / "hats")) == readers.columns(snapshot(catalogue))
    shown = {
        row.object_id: row.bar_yes for path in tiles(current(out) / "hips") for row in tile(path).itertuples()
    }
    assert shown["g000000007"] == pytest.approx(0.123)


def test_an_incremental_edition_is_the_one_made_from_nothing(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 600), tmp_path / "out"
    published(catalogue, out, tree, partition_rows=80)
    more = pa.concat_tables([snapshot(catalogue).slice(3), galaxies(tree, [("new", 33.0, 3.0), *AWKWARD], 9)])
    write_deltalake(catalogue, more, mode="overwrite")
    published(catalogue, out, tree, partition_rows=80)
    published(catalogue, tmp_path / "anew", tree, partition_rows=80)
    one, other = assert_whole(out)["files"], assert_whole(tmp_path / "anew")["files"]
    parts = {name: said for name, said in one.items() if said["key"] and not name.startswith("galaxies.")}
    assert len(parts) > 30
    assert parts == {name: other[name] for name in parts}
    assert one.keys() == other.keys()


def test_the_same_again_does_nothing(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 300), tmp_path / "out"
    published(catalogue, out, tree)
    before = inodes(out)
    os.unlink(out / "current")
    assert published(catalogue, out, tree).written == 0
    after = inodes(out)
    del before["lease.json"], after["lease.json"]
    assert after == before
    assert (out / "current").resolve() == current(out)


def test_another_title_takes_the_parts_over(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 300), tmp_path / "out"
    published(catalogue, out, tree)
    first = current(out)
    done = published(catalogue, out, tree, ABOUT.model_copy(update={"title": "Another"}))
    assert done.written < 17
    assert "Another" in (current(out) / "README.md").read_text()
    assert_whole(out)
    published(catalogue, out, tree)
    assert current(out) == first
    assert_whole(out)


def test_the_edition_before_stays_and_older_ones_go(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 200), tmp_path / "out"
    names = []
    for row in (1, 2, 3):
        names.append(published(catalogue, out, tree, tables=()).edition)
        change_one(catalogue, row)
    assert {path.name for path in (out / "editions").iterdir()} == set(names[1:])
    assert json.loads((out / "current.json").read_text())["previous"] == names[1]


def test_a_damaged_part_isnt_taken_over(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 300), tmp_path / "out"
    published(catalogue, out, tree, partition_rows=80)
    victim = next(current(out).glob("hats/dataset/*/*/*.parquet"))
    victim.write_bytes(victim.read_bytes()[:100])
    published(catalogue, out, tree, ABOUT.model_copy(update={"title": "Another"}), partition_rows=80)
    assert_whole(out)
    assert is_valid_catalog(current(out) / "hats", strict=True)


def test_what_a_folder_may_hold(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_sky(str(tmp_path / "c"), tree, 20)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"other holds other files, such as thesis\.tex; name a new folder"):
        published(catalogue, other, tree)
    with pytest.raises(InputError, match="holds other files"):
        published(catalogue, catalogue, tree)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_settings_and_catalogues_that_cannot_be_published(tree: DecisionTree, tmp_path: Path) -> None:
    nowhere = write_catalogue(str(tmp_path / "nowhere"), tree, galaxies(tree, AWKWARD[-3:]))
    with pytest.raises(InputError, match="none of the 3 galaxies has a position"):
        published(nowhere, tmp_path / "out", tree)
    catalogue = write_sky(str(tmp_path / "c"), tree, 20)
    with pytest.raises(InputError, match="rank=nosuch: the catalogue has no column of numbers"):
        published(catalogue, tmp_path / "out", tree, rank="nosuch")
    assert not (tmp_path / "out" / "current.json").exists()
    published(catalogue, tmp_path / "out", tree)
    manifest = current(tmp_path / "out") / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json is damaged \(edition: Field required\)"):
        published(catalogue, tmp_path / "out", tree)


def test_a_file_of_a_killed_write_goes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    litter = out / "editions" / "e" / ".galaxies.fits.tmp"
    litter.parent.mkdir(parents=True)
    litter.write_bytes(b"half")
    edition = Edition(str(out), "e", None)
    edition.put("README.md", b"text")
    edition.seal(1, 0, "2031-05-09T14:03:00")
    assert sorted(path.name for path in litter.parent.iterdir()) == ["README.md", "manifest.json"]
    manifest = Manifest.model_validate_json((litter.parent / "manifest.json").read_bytes())
    assert list(manifest.files) == ["README.md"]


def test_two_at_once(tree: DecisionTree, tmp_path: Path) -> None:
    """The second is refused at once, and the first finishes."""
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 200), tmp_path / "out"
    inside, go_on = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def waiting(label: str, total: int) -> Iterator[Progress]:
        inside.set()
        assert go_on.wait(120)
        with unseen(label, total) as progress:
            yield progress

    opened = open_snapshot(catalogue, tree)
    first = threading.Thread(target=publish, args=(opened, str(out), tree, ABOUT, waiting))
    first.start()
    assert inside.wait(60)
    with pytest.raises(HeldError, match="held by run publish"):
        published(catalogue, out, tree)
    go_on.set()
    first.join()
    assert_whole(out)


def test_in_an_object_store(tree: DecisionTree, tmp_path: Path, bucket: str) -> None:
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 200), f"{bucket}/published"
    first = published(catalogue, out, tree, partition_rows=80)
    change_one(catalogue)
    second = published(catalogue, out, tree, partition_rows=80)
    pointer = json.loads(storage.read_bytes(f"{out}/current.json"))
    assert (pointer["edition"], pointer["previous"]) == (second.edition, first.edition)
    assert second.written < first.written / 2
    manifest = json.loads(storage.read_bytes(f"{out}/{pointer['folder']}/manifest.json"))
    there = {file.uri: file.size for file in storage.list_files(f"{out}/{pointer['folder']}")}
    assert len(there) == len(manifest["files"]) + 1
    for name, said in manifest["files"].items():
        assert there[f"{out}/{pointer['folder']}/{name}"] == said["size"]


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_killed_anywhere_it_is_continued(tree: DecisionTree, tmp_path: Path, kills: int) -> None:
    """Meanwhile the edition before is whole, and what counts."""
    catalogue, out = write_sky(str(tmp_path / "c"), tree, 600), tmp_path / "out"
    words = ["publish", "c", "out", *WORDS]
    started = time.monotonic()
    done = tuningfork_here(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - started
    before = assert_whole(out)
    seed = random.Random(7)
    for row in range(5, 5 + kills):
        change_one(catalogue, row)
        leased = (out / "lease.json").stat().st_mtime_ns
        with running(words, tmp_path) as run:
            while (out / "lease.json").stat().st_mtime_ns == leased:
                assert run.process.poll() is None, run.text()
                time.sleep(0.02)
            time.sleep(seed.uniform(0, 0.5) * took)
            if run.process.poll() is None:
                stop(run.process.pid)
                assert_whole(out)
                run.process.send_signal(signal.SIGKILL)
            run.process.wait()
        assert_whole(out)
    with running(words, tmp_path) as run:
        assert run.wait() == 0, run.text()
    manifest = assert_whole(out)
    assert manifest["edition"] != before["edition"]
    assert len(list((out / "editions").iterdir())) == 2
    assert readers.hats_columns(str(current(out) / "hats")) == readers.columns(snapshot(catalogue))


@pytest.mark.long
def test_killed_before_the_first_edition_counts(tree: DecisionTree, tmp_path: Path) -> None:
    write_sky(str(tmp_path / "c"), tree, 500)
    words, out = ["publish", "c", "out", *WORDS], tmp_path / "out"
    with running(words, tmp_path) as run:
        wait_for(lambda: any(out.glob("editions/*/hips/Norder*/Dir*/*.tsv")), seconds=200)
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
    assert not (out / "current.json").exists()
    half = {name: inode for name, inode in inodes(out / "editions").items() if "/." not in name}
    with running(words, tmp_path) as run:
        assert run.wait() == 0, run.text()
    assert_whole(out)
    after = inodes(out / "editions")
    assert {name: after[name] for name in half if "Npix" in name} == {
        name: inode for name, inode in half.items() if "Npix" in name
    }
