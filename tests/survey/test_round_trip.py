"""The same galaxies from every form, to the same probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.images import decode_image
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import DecodeActor, decode_unit, unit_of
from pipeline.streaming.model import ModelActor
from pipeline.survey import Source, open_source, recognise
from pipeline.tree import GALAXY_ZOO_2
from tests.support import forms
from tests.support.forms import FORMS, REAL, Sky, jpeg, skies, survey
from tests.support.galaxies import png

COUNT, REAL_COUNT = 24, 200


@pytest.fixture(scope="module")
def galaxies() -> list[Sky]:
    return skies(COUNT)


@pytest.fixture(scope="module")
def model() -> ModelActor:
    return ModelActor(DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), 1, "float32", 1)


def written(form: str, folder: Path, galaxies: list[Sky]) -> Source:
    folder.mkdir()
    return open_source(recognise(survey(**FORMS[form](folder, galaxies)), str(folder)))


def decoded(source: Source, uri: str, unit_rows: int = 9) -> pa.Table:
    """All units of a source, one behind the other."""
    units = [
        WorkUnit(number, shard.uri, start, min(start + unit_rows, shard.rows))
        for number, shard in enumerate(source.list_shards(uri))
        for start in range(0, shard.rows, unit_rows)
    ]
    return pa.concat_tables(decode_unit(unit, source=source) for unit in units)


def answers(model: ModelActor, table: pa.Table) -> np.ndarray:
    assert table["reason"].null_count == len(table), table["message"].to_pylist()
    return np.array(model(table.combine_chunks())["probabilities"].to_pylist())


@pytest.fixture(scope="module")
def expected(galaxies: list[Sky], model: ModelActor, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The answers to a cutout shard set of the pictures, without any survey file."""
    folder = tmp_path_factory.mktemp("plain")
    pq.write_table(forms.rows(galaxies, png), folder / "a.parquet")
    return answers(model, decoded(open_source(), str(folder)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_answers(
    form: str, galaxies: list[Sky], model: ModelActor, expected: np.ndarray, tmp_path: Path
) -> None:
    source = written(form, tmp_path / "in", galaxies)
    table = decoded(source, str(tmp_path / "in")).sort_by("object_id")  # partitions come by name
    assert table["object_id"].to_pylist() == [one.name for one in galaxies]
    np.testing.assert_allclose(table["ra"].to_numpy(), [one.ra for one in galaxies], atol=1e-9)
    np.testing.assert_allclose(table["dec"].to_numpy(), [one.dec for one in galaxies], atol=1e-9)
    found = answers(model, table)
    assert expected.std(axis=0).max() > 0.05  # the galaxies differ, so that a mix-up shows
    assert np.abs(found - expected).max() <= 1e-6


@pytest.mark.parametrize("form", ["parquet", "webdataset", "images"])
def test_jpegs_change_answers_little_and_alike_in_every_form(
    form: str, galaxies: list[Sky], model: ModelActor, expected: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    writers = {"parquet": forms.write_parquet, "webdataset": forms.write_tar, "images": forms.write_images}
    suffix = () if form == "parquet" else ("jpg",)
    settings = writers[form](tmp_path / "in", galaxies, jpeg, *suffix)
    source = open_source(recognise(survey(**settings), str(tmp_path / "in")))
    found = answers(model, decoded(source, str(tmp_path / "in")))
    assert np.abs(found - expected).mean() < 0.01
    (tmp_path / "plain").mkdir()
    pq.write_table(forms.rows(galaxies, jpeg), tmp_path / "plain" / "a.parquet")
    plain = answers(model, decoded(open_source(), str(tmp_path / "plain")))
    assert np.abs(found - plain).max() <= 1e-6


@pytest.mark.parametrize("form", ["webdataset", "hdf5", "multimodal", "fits of rubin"])
def test_isolation_gives_what_the_actor_itself_gives(form: str, galaxies: list[Sky], tmp_path: Path) -> None:
    source = written(form, tmp_path / "in", galaxies[:6])
    (shard, *_) = source.list_shards(str(tmp_path / "in"))
    source.save_index(str(tmp_path / "index"))
    unit = WorkUnit(0, shard.uri, 1, 3)
    batch = pa.Table.from_pylist([unit.__dict__ | {"duplicates": []}])
    assert unit_of(batch) == unit
    actors = [
        DecodeActor(isolated=isolated, survey=source.survey, index=str(tmp_path / "index"))
        for isolated in (False, True)
    ]
    own, apart = (actor(batch).drop(["decode_seconds"]) for actor in actors)
    assert own["reason"].null_count == 2
    assert apart == own


@pytest.mark.long
def test_real_galaxies_survive_every_form(model: ModelActor, tmp_path: Path) -> None:
    folder = REAL / "galaxy_zoo_challenge" / "images_training_rev1"
    if not folder.exists():
        pytest.skip(f"no real galaxies at {REAL}")
    files = sorted(folder.glob("*.jpg"))[:REAL_COUNT]
    middle = slice(106, 318, 2)  # the galaxy, at half the resolution: lists of floats are large
    pictures = [decode_image(file.read_bytes())[middle, middle] for file in files]
    galaxies = [
        forms.sky(file.stem, i, picture)
        for i, (file, picture) in enumerate(zip(files, pictures, strict=True))
    ]
    (tmp_path / "plain").mkdir()
    pq.write_table(forms.rows(galaxies, png), tmp_path / "plain" / "a.parquet")
    wanted = answers(model, decoded(open_source(), str(tmp_path / "plain")).sort_by("object_id"))
    for number, form in enumerate(FORMS):
        source = written(form, tmp_path / str(number), galaxies)
        found = answers(model, decoded(source, str(tmp_path / str(number))).sort_by("object_id"))
        assert np.abs(found - wanted).max() <= 1e-6, form


def test_a_null_where_an_image_should_be_costs_that_row_alone(galaxies: list[Sky], tmp_path: Path) -> None:
    images = pa.array([forms.banded(galaxies[0]), None, forms.banded(galaxies[2])], forms.IMAGES)
    table = forms.rows(galaxies[:3], png).set_column(3, "image", images)
    pq.write_table(table, tmp_path / "a.parquet")
    source = open_source(recognise(survey(), str(tmp_path)))
    assert decoded(source, str(tmp_path))["reason"].to_pylist() == [None, "empty", None]
    assert CUTOUT_SCHEMA.names == source.read_rows(str(tmp_path / "a.parquet"), 0, 3).table.column_names
