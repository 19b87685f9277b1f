"""A catalogue in a notebook: current rows, chosen columns, older versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline import Catalogue, open_catalogue
from pipeline.catalogue.delta import DamagedCatalogue
from pipeline.errors import InputError
from pipeline.protocol import catalogue_uri
from pipeline.representations import direction, look_alikes, open_embeddings
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.representations.test_reading import rows_of
from tests.support.outputs import make_output
from tests.support.tables import snapshot


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> str:
    """Version 1 has 21 current rows; in version 2 three of them are stale. The path has a space."""
    layout, _ = make_output(tmp_path_factory.mktemp("an output"), tree)
    uri = catalogue_uri(layout.output)
    rows = snapshot(uri)
    stale = pa.array(["gone"] * 3 + [None] * (len(rows) - 3), pa.string())
    place = rows.schema.get_field_index("stale")
    write_deltalake(
        DeltaTable(uri), rows.set_column(place, rows.schema.field("stale"), stale), mode="overwrite"
    )
    return uri


def test_only_current_rows_are_read(uri: str) -> None:
    catalogue = open_catalogue(uri)
    assert (catalogue.version, len(catalogue)) == (2, 18)
    table = catalogue.to_pandas()
    assert len(table) == 18
    assert table["stale"].isna().all()
    assert list(table.columns) == catalogue.columns
    assert catalogue.to_arrow().num_rows == 18


def test_an_older_version_is_read_by_number_or_text(uri: str) -> None:
    assert [len(open_catalogue(uri, as_of=version)) for version in (1, "1", 2)] == [21, 21, 18]
    with pytest.raises(InputError, match="has no version 9; expected 0 to 2"):
        open_catalogue(uri, as_of=9)


def test_columns_and_rows_are_chosen(uri: str) -> None:
    catalogue = open_catalogue(uri)
    columns = ["object_id", "bar_yes"]
    table = catalogue.to_pandas(columns, where=[("bar_yes", ">", 0.3)])
    assert list(table.columns) == columns
    assert 0 < len(table) < 18
    assert (table["bar_yes"] > 0.3).all()
    assert catalogue.to_pandas(columns, where=pc.field("bar_yes") > 0.3).equals(table)


def test_a_question_with_its_answers(uri: str) -> None:
    table = open_catalogue(uri).question("bar")
    assert list(table.columns) == ["bar_yes", "bar_no", "bar_answer", "bar_agreement"]
    assert table.index.name == "object_id"
    assert len(table) == 18


def test_an_answer_that_few_are_asked_for_is_there_for_those_who_want_it(uri: str) -> None:
    catalogue = open_catalogue(uri)
    gated, raw = (catalogue.question("bar", least_asked=least) for least in (0.5, 0.0))
    stored = catalogue.to_pandas(["object_id", "bar_answer"]).set_index("object_id")["bar_answer"]
    pd.testing.assert_series_equal(gated["bar_answer"], stored)
    asked = raw[["bar_yes", "bar_no"]].sum(axis=1)
    assert raw["bar_answer"].isna().tolist() == (asked == 0).tolist()
    assert 0 < raw["bar_answer"].isna().sum() < gated["bar_answer"].isna().sum() < len(raw)


def misuse(catalogue: Catalogue, call: str) -> str:
    with pytest.raises(InputError) as error:
        eval(call, {"catalogue": catalogue})
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("catalogue.to_pandas(['bar'])", "has no column 'bar'; `columns` lists all 69"),
        ("catalogue.to_pandas(where=[('nothing', '>', 1)])", "can't be applied"),
        ("catalogue.to_pandas(where=[('bar_yes', '>', 'a')])", "can't be applied"),
        ("catalogue.to_pandas(where=[('bar_yes', 'above', 1)])", "can't be applied"),
        ("catalogue.to_pandas(where='bar_yes')", "'bar_yes' compares nothing"),
        ("catalogue.to_pandas(where=[1])", "can't be applied"),
        ("catalogue.question('bars')", "has no question 'bars'; expected one of smooth_or_featured"),
    ],
)
def test_what_is_not_there_is_told(uri: str, call: str, expected: str) -> None:
    assert expected in misuse(open_catalogue(uri), call)


def test_no_catalogue_and_another_tree(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a catalogue"):
        open_catalogue(str(tmp_path))
    (tmp_path / "galaxies.fits").write_bytes(b"SIMPLE")
    with pytest.raises(InputError, match=r"galaxies.fits is a file, and a catalogue is a folder:") as error:
        open_catalogue(tmp_path / "galaxies.fits")
    assert not isinstance(error.value, DamagedCatalogue)
    with pytest.raises(InputError, match="columns of tree 'efigi'"):
        open_catalogue(uri, tree="efigi")


def test_names_may_come_from_anywhere_that_can_be_iterated(uri: str) -> None:
    catalogue = open_catalogue(Path(uri))
    assert catalogue.to_arrow(iter(["bar_yes", "bar_no"])).column_names == ["bar_yes", "bar_no"]
    with pytest.raises(InputError, match=r"expected a list of names, such as \['bar_yes'\]"):
        catalogue.to_arrow("bar_yes")


def test_a_version_whose_file_is_gone_is_told(tmp_path: Path, tree: DecisionTree) -> None:
    layout, _ = make_output(tmp_path, tree)
    uri = catalogue_uri(layout.output)
    (file,) = Path(uri).glob("*.parquet")
    file.unlink()
    with pytest.raises(InputError, match=r"a file of version 1 of .* is gone .*vacuum") as error:
        open_catalogue(uri)
    assert "\n" not in str(error.value)


def test_a_notebook_shows_little_of_it(uri: str) -> None:
    assert len(repr(open_catalogue(uri))) < len(uri) + 50


def test_a_condition_may_be_a_text(uri: str) -> None:
    catalogue = open_catalogue(uri)
    chosen = catalogue.to_pandas(where="bar_yes > 0.3")
    assert chosen.equals(catalogue.to_pandas(where=[("bar_yes", ">", 0.3)]))
    with pytest.raises(InputError, match="there is no column 'beauty'"):
        catalogue.to_pandas(where="beauty > 1")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> str:
    return write_catalogue(str(tmp_path_factory.mktemp("vectors") / "c"), tree, rows_of(tree, 300))


def test_look_alikes_come_with_their_rows(vectors: str, tree: DecisionTree) -> None:
    catalogue, embeddings = open_catalogue(vectors), open_embeddings(vectors, tree)
    wanted = direction(embeddings.find(["g7", "g9"]).vectors)
    exact = look_alikes(embeddings, wanted, 24, without=["g7", "g9"]).to_pandas()
    found = catalogue.similar(["g7", "g9"])
    assert found["object_id"].tolist() == exact["object_id"].tolist()
    assert found["similarity"].tolist() == exact["similarity"].tolist()
    assert {*catalogue.columns, "similarity"} - {*found.columns} == {"embedding"}


def test_counterexamples_lead_away_from_them(vectors: str, tree: DecisionTree) -> None:
    every = open_embeddings(vectors, tree).find([f"g{number}" for number in range(300)]).vectors
    units = every / np.linalg.norm(every.astype(float), axis=1, keepdims=True)
    leads = units[[7, 9]].mean(axis=0) - units[8]
    far = every @ leads / np.linalg.norm(leads) / 32
    order = [row for row in np.argsort(-far) if row not in (7, 8, 9)]
    found = open_catalogue(vectors).similar(["g7", "g9"], 30, unlike="g8")
    assert found["object_id"].tolist() == [f"g{row}" for row in order[:30]]
    np.testing.assert_allclose(found["similarity"], far[order[:30]], atol=1e-8)


def test_look_alikes_under_a_condition_in_a_region(vectors: str) -> None:
    catalogue = open_catalogue(vectors)
    bars = catalogue.to_pandas(["object_id", "ra"], "bar_yes > 0.5")
    expected = set(bars["object_id"][(bars["ra"] < 1.001) & (bars["object_id"] != "g7")])
    wheres = ("bar_yes > 0.5", [("bar_yes", ">", 0.5)], pc.field("bar_yes") > 0.5)
    for where in wheres:
        found = catalogue.similar("g7", 200, where=where, cone=(0.5, -1, 0.5))
        assert set(found["object_id"]) == expected
    assert catalogue.similar("g7", cone=(90, 80, 1)).empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"object_id": "nobody"}, "has no galaxy 'nobody'"),
        ({"object_id": []}, "expected 1 or more, and an example"),
        ({"object_id": "g7", "count": 0}, "count is 0"),
        ({"object_id": "g7", "cone": (1, 2)}, r"cone is \(1, 2\): expected RA,DEC,RADIUS"),
        ({"object_id": "g7", "where": "beauty > 1"}, "there is no column 'beauty'"),
        ({"object_id": "g7", "where": [("beauty", ">", 1)]}, "can't be applied"),
        ({"object_id": "g7", "index": "/nowhere"}, "/nowhere is no index"),
    ],
)
def test_what_look_alikes_are_refused(vectors: str, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_catalogue(vectors).similar(**arguments)


def test_a_catalogue_without_vectors_has_no_look_alikes(uri: str) -> None:
    with pytest.raises(InputError, match="has no embeddings"):
        open_catalogue(uri).similar("g7")
