"""HDF5 that refers to other files is refused, and rows that nobody can hold cost themselves alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from pipeline.errors import InputError
from pipeline.run.cutouts import read_cutouts
from pipeline.survey import Source, open_source
from tests.support.command import tuningfork_here
from tests.support.forms import COLOR, skies, survey

SKIES = skies(4, 40)
SETTINGS: dict[str, Any] = {
    "format": "hdf5",
    "planes": ["g", "r", "i"],
    "columns": {"ra": "ra", "dec": "dec"},
    "mask": {"name": "mask", "planes": [1]},
    "frame": {"column": "r90"},
    "pixel_scale": 0.4,
}


def arrays() -> dict[str, np.ndarray]:
    """The datasets of a sound file."""
    return {
        "flux": np.stack([one.flux for one in SKIES]),
        "mask": np.zeros((len(SKIES), 40, 40), np.uint8),
        "object_id": np.arange(len(SKIES)),
        "ra": np.array([one.ra for one in SKIES]),
        "dec": np.array([one.dec for one in SKIES]),
        "r90": np.full(len(SKIES), 2.0),
    }


def external(file: h5py.File, name: str, values: np.ndarray) -> None:
    """The bytes of any file."""
    raw = Path(file.filename).with_name("secret")
    raw.write_bytes(values.tobytes())
    file.create_dataset(name, values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)])


def virtual(source: str, most: int | None) -> Callable[[h5py.File, str, np.ndarray], None]:
    """Values of a dataset of another file, of so many rows at most."""

    def write(file: h5py.File, name: str, values: np.ndarray) -> None:
        write_other(file, values)
        shape, most_rows = values.shape, (most, *values.shape[1:])
        layout = h5py.VirtualLayout(shape, values.dtype, maxshape=most_rows)
        rows = slice(h5py.h5s.UNLIMITED if most is None else len(values))
        layout[rows] = h5py.VirtualSource(source, "values", shape, maxshape=most_rows)[rows]
        file.create_virtual_dataset(name, layout)

    return write


def circular(file: h5py.File, name: str, values: np.ndarray) -> None:
    """Values that are its own: what h5py reads through a stream has no other file."""
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource("other", name, values.shape)
    file.create_virtual_dataset(name, layout)


def write_other(file: h5py.File, values: np.ndarray) -> None:
    """The values as a dataset of this file, and of another beside it."""
    file["values"] = values
    with h5py.File(Path(file.filename).with_name("other"), "w") as other:
        other["values"] = values


def linked(file: h5py.File, name: str, values: np.ndarray) -> None:
    """An external link."""
    write_other(file, values)
    file[name] = h5py.ExternalLink("other", "/values")


def linked_on(file: h5py.File, name: str, values: np.ndarray) -> None:
    """A soft link to a soft link into a group that is an external link."""
    write_other(file, values)
    file["there"] = h5py.ExternalLink("other", "/")
    file["group/link"] = h5py.SoftLink("/there/./values")
    file[name] = h5py.SoftLink("group/link")


ELSEWHERE: dict[str, tuple[Callable[[h5py.File, str, np.ndarray], None], str]] = {
    "external": (external, "is external: its values lie in another file, '.*secret'"),
    "virtual": (virtual("other", len(SKIES)), "is virtual: its values lie in other datasets"),
    "virtual, of this file": (virtual(".", len(SKIES)), "is virtual"),
    "virtual, of no file": (virtual("none", len(SKIES)), "is virtual"),
    "virtual, without end": (virtual("other", None), "is virtual"),
    "virtual, of itself": (circular, "is virtual"),
    "external link": (linked, "is a link into another file, 'other'"),
    "soft links to an external one": (linked_on, "is a link into another file, 'other'"),
}


def write(path: Path, elsewhere: str, how: str) -> Source:
    """A file that has all datasets itself, but for one."""
    with h5py.File(path, "w") as file:
        for name, values in arrays().items():
            if name == elsewhere:
                ELSEWHERE[how][0](file, name, values)
            else:
                file[name] = values
    return open_source(survey(**SETTINGS))


@pytest.mark.parametrize("name", arrays())
@pytest.mark.parametrize("how", ELSEWHERE)
def test_a_dataset_whose_values_lie_elsewhere_is_refused(tmp_path: Path, name: str, how: str) -> None:
    shard = tmp_path / "a.h5"
    source = write(shard, name, how)
    for read in (
        lambda: source.list_shards(str(tmp_path)),
        lambda: source.read_ids(str(shard)),
        lambda: source.read_rows(str(shard), 0, 1),
    ):
        with pytest.raises(InputError, match=rf"a\.h5: dataset '{name}' {ELSEWHERE[how][1]}") as caught:
            read()
        assert "\n" not in str(caught.value)
        assert "copy them into it" in str(caught.value)


def dry_run(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the driver alone does with the files in a folder ``in``."""
    (folder / "survey.yaml").write_text(yaml.safe_dump({"name": "made", "color": COLOR, **SETTINGS}))
    words = ("classify", "input=in", "output=out", "survey=survey.yaml", "rate=1", "--dry-run")
    return tuningfork_here(*words, cwd=folder)


@pytest.mark.parametrize("how", ["external", "virtual", "virtual, of itself"])
def test_a_run_over_one_ends_with_a_line(tmp_path: Path, how: str) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.h5", "flux", how)
    done = dry_run(tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done
    assert f"dataset 'flux' is {how.partition(',')[0]}" in done.stderr


def test_links_within_the_file_are_followed(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", "none", "external")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.move("flux", "group/values")
        file["flux"] = h5py.SoftLink("/group/values")
        file["alias"] = h5py.SoftLink("./group")
    assert source.list_shards(str(tmp_path))[0].rows == len(SKIES)
    named = survey(**(SETTINGS | {"columns": {"flux": "/alias/values"}}))
    assert open_source(named).list_shards(str(tmp_path))[0].rows == len(SKIES)


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", "none", "external")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["flux"]
        file["flux"] = h5py.SoftLink("/nowhere")
    with pytest.raises(InputError, match="has no dataset 'flux'"):
        source.list_shards(str(tmp_path))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["nowhere"] = h5py.SoftLink("flux")
    with pytest.raises(InputError, match=r"is not sound HDF5 \(.*too many links"):
        source.list_shards(str(tmp_path))


def test_values_of_a_type_that_no_array_has_are_the_files_fault(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", "none", "external")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["flux"]
        space = h5py.h5s.create_simple((len(SKIES), 3, 40, 40))
        h5py.h5d.create(file.id, b"flux", h5py.h5t.UNIX_D32LE, space)
    with pytest.raises(InputError, match="is not sound HDF5"):
        source.list_shards(str(tmp_path))


def test_rows_of_terabytes_end_neither_the_driver_nor_a_report(tmp_path: Path) -> None:
    """They cost a file of a few kilobytes."""
    (tmp_path / "in").mkdir()
    shard = tmp_path / "in" / "a.h5"
    source = write(shard, "none", "external")
    with h5py.File(shard, "a") as file:
        for name, bands in (("flux", (3,)), ("mask", ())):
            shape = (len(SKIES), *bands, 1 << 20, 1 << 20)
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(name, shape, dtype, chunks=(*[1] * (len(shape) - 2), 64, 64))
    done = dry_run(tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "4 galaxies in 1 shards" in done.stdout
    assert len(read_cutouts([f"{shard}#1"], lambda _: source)) == 0
