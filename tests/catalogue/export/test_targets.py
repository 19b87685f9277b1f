"""Where exports go: any store, whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.export import ExportConfig, run
from pipeline import storage
from pipeline.catalogue import export_catalogue, snapshot
from pipeline.catalogue.export import Format
from pipeline.errors import InputError
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.tree import DecisionTree
from tests.benchmarks import export_memory
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.conftest import ObjectStore
from tests.support.command import ROOT

FORMATS = get_args(Format)


@pytest.fixture
def catalogue(tree: DecisionTree, tmp_path: Path) -> str:
    return write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD))


def files(folder: Path | str) -> dict[str, bytes]:
    if isinstance(folder, Path):
        return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    root = storage.filesystem(folder)[1]
    found = storage.list_files(folder)
    return {storage.filesystem(f.uri)[1][len(root) + 1 :]: storage.read_bytes(f.uri) for f in found}


def unchanging(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without the files that hold the time, and FITS's line of it."""
    date = re.compile(rb"DATE    = '[\d:T-]*'")
    return {name: date.sub(b"", data) for name, data in found.items() if "properties" not in name}


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.long] * (form not in {"csv", "hats"})) for form in FORMATS]
)
def test_an_object_store_gets_what_a_disk_gets(
    form: Format, catalogue: str, tree: DecisionTree, tmp_path: Path, bucket: str, in_store: ObjectStore
) -> None:
    """And the catalogue may lie there, too."""
    for path, data in files(Path(catalogue)).items():
        storage.write_bytes(storage.join(bucket, "catalogue", path), data)
    local = export_catalogue(catalogue, str(tmp_path / "out"), tree, form)
    there = export_catalogue(f"{bucket}/catalogue", f"{bucket}/to/out", tree, form)
    assert (there.rows, len(there.notes)) == (local.rows, len(local.notes))
    if form == "hats":
        assert unchanging(files(f"{bucket}/to/out")) == unchanging(files(tmp_path / "out"))
        assert "hats.properties" in files(f"{bucket}/to/out")
    else:
        stored = {"": storage.read_bytes(f"{bucket}/to/out")}
        assert unchanging(stored) == unchanging({"": (tmp_path / "out").read_bytes()})
    with pytest.raises(InputError, match="exists already"):
        export_catalogue(catalogue, f"{bucket}/to/out", tree, form)


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_fails_leaves_nothing(
    form: Format, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    """A file of the catalogue is damaged behind its footer: found when rows are read."""
    file = next(Path(catalogue).glob("*.parquet"))
    group, data = pq.read_metadata(file).row_group(0), bytearray(file.read_bytes())
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(bytes(data))
    (tmp_path / "to").mkdir()
    with pytest.raises(InputError, match=f"cannot read .*{file.name}"):
        export_catalogue(catalogue, str(tmp_path / "to" / "out"), tree, form)
    assert list((tmp_path / "to").iterdir()) == []


@pytest.fixture
def memory() -> Iterator[str]:
    uri = f"memory://{uuid.uuid4().hex}"
    yield uri
    MemoryFileSystem.store.clear()


def test_properties_come_last(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is cut short can't be opened, and one that fails is removed."""
    order: list[str] = []
    opened = FsspecStore.open_new

    def noting(store: FsspecStore, path: str) -> object:
        order.append(storage.name(path))
        return opened(store, path)

    monkeypatch.setattr(FsspecStore, "open_new", noting)
    with storage.new_folder(f"{memory}/out", last=("a.properties",)) as folder:
        (folder / "a.properties").write_text("whole")
        (folder / "b").mkdir()
        (folder / "b" / "c").write_text("part")
    assert order == ["c", "a.properties"]
    assert files(f"{memory}/out") == {"a.properties": b"whole", "b/c": b"part"}


def test_a_copy_that_fails_is_taken_back(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = MemoryFileSystem._open

    def refuse(fs: MemoryFileSystem, path: str, *arguments: object, **options: object) -> object:
        if path.endswith("c"):
            raise PermissionError(path)
        return pipe(fs, path, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", refuse)

    def copy() -> None:
        with storage.new_folder(f"{memory}/out") as folder:
            for name in "abc":
                (folder / name).write_text(name)

    with pytest.raises(InputError, match="permission denied"):
        copy()
    assert files(f"{memory}/out") == {}


def test_a_folder_on_disk_appears_at_once_and_only_if_it_went_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    with storage.new_folder(str(target)) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert files(target) == {"a": b"1"}
    assert target.stat().st_mode & 0o777 == 0o755

    def fail() -> None:
        with storage.new_folder(str(tmp_path / "new" / "other")) as folder:
            (folder / "a").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


@pytest.mark.parametrize("form", ["csv", "hats"])
def test_a_target_that_cant_be_written_is_one_line(
    form: Format, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"cannot write {tmp_path}/file/out: "):
        export_catalogue(catalogue, str(tmp_path / "file" / "out"), tree, form)


def test_the_verb_says_what_it_did(
    catalogue: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    run(ExportConfig(catalogue=catalogue, out=out, format="hats"))
    said, noted = capsys.readouterr()
    assert said == f"{len(AWKWARD)} galaxies written to {out} (hats)\n"
    assert "tuningfork: note: 3 galaxies have no position" in noted
    run(ExportConfig(catalogue=catalogue, out=f"{out}.csv", cone="0,0,1"))
    assert capsys.readouterr().out == f"4 of {len(AWKWARD)} galaxies written to {out}.csv (csv)\n"


def test_only_pages_of_a_row_group_are_read_at_a_time(
    catalogue: str, tree: DecisionTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "BATCH_ROWS", 4)
    batches = list(snapshot.open_snapshot(catalogue, tree).batches())
    assert [len(batch) for batch in batches] == [4, 4, 3]


@pytest.mark.long
@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_rows(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    """Twice 600,000 rows are 300 MB more; their export takes a fraction of that more."""
    peaks = []
    for count in (600_000, 1_200_000):
        catalogue = write_sky(str(tmp_path / str(count)), tree, count)
        peaks.append(export_memory.measure(catalogue, tmp_path / f"{count}.out", form)[0])
    assert peaks[1] - peaks[0] < 75


def test_the_room_is_light_until_a_format_is_asked_for() -> None:
    code = (
        "import sys, jobs.export; print([m for m in ('astropy', 'cdshealpix', 'hats') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("galaxies.fits", None, "fits"),
        ("galaxies.PARQUET", None, "parquet"),
        ("galaxies.vot", None, "votable"),
        ("galaxies.txt", None, "csv"),
        ("galaxies.fits", "kaggle", "kaggle"),
    ],
)
def test_a_files_name_tells_its_format_unless_one_is_given(
    name: str, form: Format | None, expected: Format
) -> None:
    assert ExportConfig(catalogue="catalogue", out=name, format=form).form == expected
