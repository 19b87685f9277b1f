"""The main job on surveys in their own forms: real processes, real Ray, a store, kills and changes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import s3fs
import yaml

from pipeline import storage
from pipeline.catalogue import answer_matrix
from pipeline.faults import CRASH_AT
from pipeline.survey import open_source
from pipeline.tree import load_tree
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.harness import running
from tests.support import forms
from tests.support.command import tuningfork, tuningfork_here
from tests.support.forms import FORMS, Sky, skies, survey
from tests.support.galaxies import png
from tests.support.tables import snapshot

SETTINGS = ("unit_rows=5", "precision=float32", "transforms=1")


@pytest.fixture(scope="module")
def galaxies() -> list[Sky]:
    """Twelve, of which the fifth lacks most of its light."""
    found = skies(12)
    found[4].flux[1, 10:] = np.nan
    return found


def survey_file(folder: Path, **settings: Any) -> str:
    path = folder / "survey.yaml"
    path.write_text(yaml.safe_dump({"name": "made", "color": forms.COLOR, **settings}))
    return str(path)


def answers(catalogue: str) -> dict[str, np.ndarray]:
    table = snapshot(catalogue)
    return dict(zip(table["object_id"].to_pylist(), answer_matrix(load_tree(), table), strict=True))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, galaxies: list[Sky]) -> dict[str, np.ndarray]:
    """The catalogue of the same galaxies as a cutout shard set."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "in").mkdir()
    pq.write_table(forms.rows([*galaxies[:4], *galaxies[5:]], png), folder / "in" / "a.parquet")
    done = tuningfork_here("classify", "input=in", "output=out", *SETTINGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return answers(str(folder / "out" / "catalogue"))


@pytest.mark.long
@pytest.mark.parametrize("form", ["multimodal", "fits frames"])
def test_a_survey_is_classified_verified_and_held_to_its_file(
    form: str, galaxies: list[Sky], expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    settings = FORMS[form](tmp_path / "in", galaxies)
    command = ("classify", "input=in", "output=out", f"survey={survey_file(tmp_path, **settings)}", *SETTINGS)
    done = tuningfork_here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "11 galaxies classified, 1 quarantined (1 bad_pixels)" in done.stdout
    found = answers(str(tmp_path / "out" / "catalogue"))
    assert found.keys() == expected.keys()
    for name, probabilities in expected.items():
        assert np.abs(found[name] - probabilities).max() <= 1e-6, name
    assert "data:image/webp" in (tmp_path / "out" / "report.html").read_text()

    verified = tuningfork_here("verify", "out", cwd=tmp_path)
    assert "verify: clean: 12 input rows = 11 classified + 1 quarantined" in verified.stdout, verified
    assert "Nothing to do" in tuningfork_here(*command, cwd=tmp_path).stdout

    survey_file(tmp_path, **settings, most_bad=1.0)
    refused = tuningfork_here(*command, cwd=tmp_path)
    assert refused.returncode == 2
    assert "made from something else: survey (was" in refused.stderr
    assert "Traceback" not in refused.stderr

    survey_file(tmp_path, **settings)
    if form == "fits frames":
        frame = tmp_path / "in" / "frame-r-g003.fits"
        frame.write_bytes(frame.read_bytes()[:-2880])
        verified = tuningfork_here("verify", "out", cwd=tmp_path)
        assert verified.returncode == 1
        assert "FINDING input" in verified.stdout
        refused = tuningfork_here(*command, cwd=tmp_path)
        assert "input (0 shards added, 0 gone, 1 changed" in refused.stderr


def test_mistakes_are_told_in_one_line(galaxies: list[Sky], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    FORMS["fits"](tmp_path / "in", galaxies[:2])
    for settings, complaint in (
        ({"colour": 1}, "unknown key 'colour'; did you mean 'color'?"),
        ({"color": forms.COLOR | {"bands": ["z", "r", "g"]}}, "there is no band 'z'"),
        ({"format": "hdf5", "planes": ["g", "r", "i"]}, "holds no HDF5 file"),
    ):
        words = ("classify", "input=in", "output=out", f"survey={survey_file(tmp_path, **settings)}")
        refused = tuningfork_here(*words, cwd=tmp_path)
        assert refused.returncode == 2
        assert complaint in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    refused = tuningfork_here("classify", "input=in", "output=out", "survey=none.yaml", cwd=tmp_path)
    assert "cannot read" in refused.stderr


@pytest.mark.long
@pytest.mark.parametrize("form", ["webdataset", "hdf5", "images"])
def test_an_object_store_is_read_and_a_killed_run_goes_on(
    form: str,
    galaxies: list[Sky],
    expected: dict[str, np.ndarray],
    object_store: ObjectStore,
    tmp_path: Path,
) -> None:
    sound = galaxies if form == "hdf5" else [*galaxies[:4], *galaxies[5:]]
    name = f"sources-{form}"
    bucket = object_store.bucket_uri(name)
    (tmp_path / "in").mkdir()
    settings = FORMS[form](tmp_path / "in", sound)
    client = object_store.client()
    for path in sorted((tmp_path / "in").iterdir()):
        client.put_object(Bucket=name, Key=f"in/{path.name}", Body=path.read_bytes())
    environment = object_store.environment | no_other_keys()
    words = (
        "classify",
        f"input={bucket}/in",
        f"output={bucket}/out",
        f"survey={survey_file(tmp_path, **settings)}",
        "unit_rows=2",
        *SETTINGS[1:],
    )
    with running(list(words), tmp_path, environment | {CRASH_AT: "after_ledger"}) as run:
        assert run.process.wait(300) == -9, run.text()
    for key in [key for key in object_store.objects(name) if "/ledger/" in key][1::2]:
        client.delete_object(Bucket=name, Key=key)  # as if the crash had come before these
    done = tuningfork(*words, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "continues" in done.stdout
    assert "11 galaxies classified" in done.stdout
    verified = tuningfork("verify", f"{bucket}/out", cwd=tmp_path, environment=environment)
    assert "verify: clean" in verified.stdout, verified
    before = dict(os.environ)
    try:
        os.environ.update(environment)
        found = answers(f"{bucket}/out/catalogue")
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert found.keys() == expected.keys()
    for one, probabilities in expected.items():
        assert np.abs(found[one] - probabilities).max() <= 1e-6, one


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that each request for content asks the store for."""
    sizes: list[int] = []
    call = s3fs.S3FileSystem._call_s3

    async def counting(fs: s3fs.S3FileSystem, method: str, *args: Any, **query: Any) -> Any:
        if method == "get_object":
            first, last = re.findall(r"\d+", query["Range"])
            sizes.append(int(last) - int(first) + 1)
        return await call(fs, method, *args, **query)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counting)
    return sizes


def test_rows_of_a_tar_are_fetched_by_ranges(bucket: str, fetched: list[int], tmp_path: Path) -> None:
    """Of images far larger than the window in which headers are read, both pass and rows fetch a part."""
    size = 3 << 20
    members = [(f"{number}.png", bytes([number]) * size) for number in range(12)]
    data = forms.tar_bytes([*members, ("11.json", b'{"ra": 5}')])
    storage.write_bytes(f"{bucket}/a.tar", data)
    source = open_source(survey(format="webdataset"))
    (shard,) = source.list_shards(bucket)
    assert shard.rows == 12
    assert sum(fetched) < 0.6 * len(data)
    source.save_index(str(tmp_path / "index"))
    fetched.clear()
    rows = open_source(source.survey, str(tmp_path / "index")).read_rows(shard.uri, 4, 6)
    assert [cutout["image"] for cutout in rows.cutouts()] == [[(None, members[i][1])] for i in (4, 5)]
    assert fetched == [2 * size + 512]


def test_rows_of_hdf5_are_fetched_by_ranges(bucket: str, fetched: list[int], tmp_path: Path) -> None:
    flux = np.random.default_rng(0).normal(size=(40, 3, 256, 256)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("flux", data=flux, chunks=(1, 3, 256, 256))
        file["object_id"] = np.arange(40)
    content = (tmp_path / "a.h5").read_bytes()
    storage.write_bytes(f"{bucket}/a.h5", content)
    source = open_source(survey(format="hdf5", planes=["g", "r", "i"]))
    (shard,) = source.list_shards(bucket)
    assert source.read_ids(shard.uri).to_pylist() == [str(number) for number in range(40)]
    assert sum(fetched) < 0.3 * len(content)
    fetched.clear()
    rows = source.read_rows(shard.uri, 20, 24)
    for number, cutout in enumerate(rows.cutouts(), start=20):
        np.testing.assert_array_equal(cutout["image"][0], flux[number])
    assert sum(fetched) < 0.25 * len(content)
