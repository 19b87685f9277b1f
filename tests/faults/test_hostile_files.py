"""Files that kill the process which reads as much as their ids: what a run's driver makes of them."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import h5py
import pyarrow as pa
import pytest
import yaml

from pipeline import storage
from pipeline.cutouts.reading import DamagedShard
from pipeline.errors import InputError, StorageTrouble
from pipeline.streaming.reading import IsolatedInventory, Reader, open_inventory
from pipeline.survey import open_source, read_contents
from tests.faults.harness import wait_for
from tests.faults.poison import galaxy, write_shard
from tests.faults.test_corpus_hdf5 import SETTINGS, arrays
from tests.support.command import ROOT
from tests.support.command import tuningfork_here as tuningfork
from tests.support.forms import COLOR, survey

NESTED = 4000
"""Lists of lists: HDF5 takes minutes for one of so many levels."""


def write(path: Path, how: str = "sound") -> str:
    """An HDF5 shard, with object ids that are what the test is about."""
    with h5py.File(path, "w") as file:
        for name, values in arrays().items():
            if name != "object_id":
                file[name] = values
        {"sound": sound, "crash": packed, "spin": nested}[how](file)
    if how == "crash":
        claim_more(path)
    return str(path)


def sound(file: h5py.File) -> None:
    """Plain numbers."""
    file["object_id"] = arrays()["object_id"]


def packed(file: h5py.File) -> None:
    """Numbers through HDF5's n-bit filter."""
    values = arrays()["object_id"]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(values.shape)
    properties.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
    space = h5py.h5s.create_simple(values.shape)
    dataset = h5py.h5d.create(file.id, b"object_id", h5py.h5t.STD_I64LE, space, dcpl=properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)


def claim_more(path: Path) -> None:
    """Say that the filter has packed 16 million numbers, so that it reads on far behind those there are."""
    with h5py.File(path) as file:
        (_, _, parameters, _) = file["object_id"].id.get_create_plist().get_filter(0)
    before = struct.pack(f"<{len(parameters)}I", *parameters)
    after = struct.pack(f"<{len(parameters)}I", parameters[0], 0, 1 << 24, *parameters[3:])
    data = path.read_bytes()
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))


def nested(file: h5py.File) -> None:
    """Lists of lists of lists …"""
    kind = h5py.h5t.NATIVE_INT8
    for _ in range(NESTED):
        kind = h5py.h5t.vlen_create(kind)
    h5py.h5d.create(file.id, b"object_id", kind, h5py.h5s.create_simple(arrays()["object_id"].shape))


def settings(folder: Path) -> str:
    """The survey file of these shards."""
    path = folder / "survey.yaml"
    path.write_text(yaml.safe_dump({"name": "made", "color": COLOR, **SETTINGS}))
    return path.name


def children(parent: int) -> set[int]:
    """Processes of a process that read files."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(parent)], stdout=subprocess.PIPE, text=True, check=False
    )
    lines = [line.split() for line in listed.stdout.splitlines()]
    return {int(words[0]) for words in lines if "pipeline.streaming.reading_child" in words}


def test_the_file_really_kills_the_process_that_reads_its_ids(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.h5", "crash")
    code = (
        "import sys, h5py\nwith h5py.File(open(sys.argv[1], 'rb')) as file:\n"
        " print(len(file['flux']), flush=True)\n file['object_id'][:]"
    )
    done = subprocess.run([sys.executable, "-c", code, shard], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, "4\n"), done


def test_a_run_over_one_ends_with_a_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "d"):
        write(tmp_path / "in" / f"{name}.h5")
    shard = write(tmp_path / "in" / "c.h5", "crash")
    words = ("input=in", "output=out", f"survey={settings(tmp_path)}", "rate=1", "--dry-run")
    done = tuningfork("classify", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"tuningfork: cannot read {shard}: reading it killed its process (SIGSEGV: Segmentation fault), also "
        "when tried alone; write the file anew, or take it out of the input\n",
    )
    assert not (tmp_path / "out").exists()


def test_one_costs_only_itself(tmp_path: Path) -> None:
    names = [write(tmp_path / f"{number}.h5", "crash" if number == 5 else "sound") for number in range(9)]
    inventory = open_inventory(survey(**SETTINGS))

    def read(shard: str) -> list[str] | str:
        try:
            return inventory.read_ids(shard).to_pylist()
        except InputError as error:
            return str(error)

    answers = list(storage.read_ahead(read, names))
    assert "5.h5: reading it killed" in answers.pop(5)
    assert answers == [["0", "1", "2", "3"]] * 8


def test_a_file_that_no_reader_gets_to_the_end_of_is_named(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.h5", "spin")
    inventory = open_inventory(survey(**SETTINGS), Reader(seconds=1))
    assert inventory.list_shards(str(tmp_path))[0].rows == 4
    with pytest.raises(InputError, match=r"a\.h5: reading it took more than 1 s, also when tried alone"):
        inventory.read_ids(shard)


def test_digests_of_rows_are_taken_apart_too(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.h5", "crash")
    with pytest.raises(InputError, match=r"a\.h5: reading it killed its process \(SIGSEGV"):
        read_contents(open_inventory(survey(**SETTINGS)), shard, 4)


@pytest.mark.parametrize("form", ["hdf5", "parquet"])
def test_a_child_answers_as_the_source_does(tmp_path: Path, form: str) -> None:
    if form == "hdf5":
        shard, source = write(tmp_path / "a.h5"), open_source(survey(**SETTINGS))
    else:
        rows = [{"object_id": f"g{row}", "image": galaxy(row)} for row in range(12)]
        shard, source = write_shard(tmp_path / "a.parquet", rows), open_source()
    inventory = open_inventory(source.survey)
    assert isinstance(inventory, IsolatedInventory)
    (listed,) = inventory.list_shards(str(tmp_path))
    assert [listed] == source.list_shards(str(tmp_path))
    assert inventory.read_ids(shard).equals(source.read_ids(shard))
    assert inventory.group_ranges(shard, 1, 4) == source.group_ranges(shard, 1, 4)
    contents = [read_contents(any_, shard, listed.rows) for any_ in (inventory, source)]
    assert contents[0].equals(contents[1])
    assert inventory.describe(shard) == source.describe(shard)


def test_a_child_reads_an_object_store(tmp_path: Path, bucket: str) -> None:
    """Whose client asks for threads of its own as it goes on."""
    shard = f"{bucket}/a.parquet"
    rows = [{"object_id": f"g{row}", "image": galaxy(row)} for row in range(12)]
    storage.write_bytes(shard, Path(write_shard(tmp_path / "a.parquet", rows)).read_bytes())
    inventory = open_inventory()
    assert [listed.rows for listed in inventory.list_shards(bucket)] == [12]
    assert inventory.read_ids(shard).to_pylist() == [f"g{row}" for row in range(12)]


def test_errors_arrive_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, torn = open_inventory(), tmp_path / "a.parquet"
    torn.write_bytes(b"PAR1 torn PAR1")
    for shard, kind in ((str(torn), DamagedShard), (str(tmp_path / "none.parquet"), InputError)):
        with pytest.raises(InputError) as here:
            open_source().read_ids(shard)
        with pytest.raises(InputError) as there:
            inventory.read_ids(shard)
        assert (type(here.value), str(here.value)) == (type(there.value), str(there.value))
        assert type(there.value) is kind
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageTrouble, match=r"cannot read s3://bucket/a\.parquet"):
        open_inventory().read_ids("s3://bucket/a.parquet")


def test_a_child_that_is_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    """And the driver leaves none behind."""
    before = children(os.getpid())
    shard = write_shard(tmp_path / "a.parquet", [{"object_id": "g", "image": galaxy(0)}])
    inventory = open_inventory()
    ids = pa.chunked_array([["g"]])
    assert inventory.read_ids(shard).equals(ids)
    (child,) = children(os.getpid()) - before
    os.kill(child, signal.SIGKILL)
    assert inventory.read_ids(shard).equals(ids)
    assert inventory.read_ids(shard).equals(ids)
    del inventory
    assert children(os.getpid()) <= before


def test_nobody_is_left_where_the_driver_is_killed(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.parquet", [{"object_id": "g", "image": galaxy(0)}])
    code = (
        "import sys, time\nfrom pipeline.streaming.reading import open_inventory\n"
        "inventory = open_inventory()\ninventory.read_ids(sys.argv[1])\n"
        "print(flush=True)\ntime.sleep(600)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, shard],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    (child,) = children(driver.pid)
    driver.kill()
    driver.wait()
    wait_for(lambda: not Path(f"/proc/{child}").exists(), 10)


@pytest.mark.long
def test_a_file_that_kills_its_reader_by_now_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.h5")
    words = ("input=in", "output=out", f"survey={settings(tmp_path)}", "transforms=1", "device=cpu")
    done = tuningfork("classify", *words, cwd=tmp_path)
    assert done.returncode == 0, done
    shard = write(tmp_path / "in" / "a.h5", "crash")
    verified = tuningfork("verify", "out", cwd=tmp_path)
    assert verified.returncode == 1, verified
    assert f"FINDING input: cannot read {shard}: reading it killed its process (SIGSEGV" in verified.stdout
    refreshed = tuningfork("refresh", *words, cwd=tmp_path)
    assert (refreshed.returncode, len(refreshed.stderr.splitlines())) == (2, 1), refreshed
    assert f"cannot read {shard}: reading it killed its process (SIGSEGV" in refreshed.stderr
