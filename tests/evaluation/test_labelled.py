"""Answers beside votes: which rows are joined, and one clear line for each way in which they don't fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline.errors import InputError
from pipeline.evaluation.labelled import read_labelled
from pipeline.evaluation.votes import read_votes
from pipeline.tree import DecisionTree, load_tree
from tests.support.catalogues import random_probabilities
from tests.support.outputs import make_output, obedient
from tests.support.uncertain import uncertainty_of
from tests.support.voted import write_voted


@pytest.fixture
def catalogue(tmp_path: Path, tree: DecisionTree) -> str:
    make_output(tmp_path, tree)
    return str(tmp_path / "out" / "catalogue")


def labels(folder: Path, tree: DecisionTree, ids: list[str], published: bool = False, seed: int = 5) -> str:
    columns, key = (tree.class_columns, "GalaxyID") if published else (tree.columns, "object_id")
    table = pd.DataFrame(obedient(tree, len(ids), seed), columns=list(columns))
    table.insert(0, key, ids)
    table.to_csv(folder / "labels.csv", index=False)
    return str(folder / "labels.csv")


@pytest.mark.parametrize("published", [True, False])
def test_galaxies_of_both_are_joined(
    published: bool, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    ids = ["h02", "elsewhere", "g03", "g00"]
    found = read_labelled(catalogue, labels(tmp_path, tree, ids, published), tree)
    assert found.ids == ("h02", "g03", "g00")
    assert (found.unlabelled, found.unmatched) == (18, 1)
    rows = DeltaTable(catalogue).to_pandas().set_index("object_id").loc[list(found.ids)]
    np.testing.assert_array_equal(found.predicted, rows[list(tree.columns)].to_numpy(np.float64))
    np.testing.assert_allclose(found.votes, obedient(tree, 4, 5)[[0, 2, 3]], atol=1e-6)
    assert [str(place).rsplit("/", 1)[1] for place in found.inputs] == [
        "b.parquet#2",
        "a.parquet#3",
        "a.parquet#0",
    ]
    assert found[np.array([False, True, False])].ids == ("g03",)


def test_how_sure_answers_are_comes_in_the_labels_order(tree: DecisionTree, tmp_path: Path) -> None:
    predicted = random_probabilities(50)
    out_of_place = np.linspace(0, 2, 50)
    uncertainty = uncertainty_of(tree, predicted, 8.0, out_of_place)
    ids = write_voted(tmp_path, tree, predicted, predicted, uncertainty)
    order = [41, 3, 17]
    table = labels(tmp_path, tree, [ids[row] for row in order])
    found = read_labelled(str(tmp_path / "catalogue"), table, tree)
    assert found.uncertainty is not None
    np.testing.assert_array_equal(found.uncertainty.low, uncertainty.low[order])
    np.testing.assert_array_equal(found.uncertainty.high, uncertainty.high[order])
    np.testing.assert_allclose(found.uncertainty.volunteers, 8.0, rtol=1e-6)
    part = found[np.array([False, True, True])].uncertainty
    assert part is not None
    np.testing.assert_allclose(part.out_of_place, out_of_place[order[1:]], rtol=1e-6)


def test_a_catalogue_that_does_not_say_how_sure_it_is_is_read_as_before(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    found = read_labelled(catalogue, labels(tmp_path, tree, ["g00", "g03"]), tree)
    assert found.uncertainty is None
    assert found[np.array([True, False])].uncertainty is None


def message(catalogue: str, table: str, tree: DecisionTree) -> str:
    with pytest.raises(InputError) as error:
        read_labelled(catalogue, table, tree)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_labels_for_other_galaxies_name_ids_of_both(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    found = message(catalogue, labels(tmp_path, tree, ["100008", "100023"]), tree)
    assert "votes for none of the 21 galaxies" in found
    assert "'100008'" in found
    assert "'g00'" in found


def test_labels_of_other_columns_are_named(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    table = labels(tmp_path, tree, ["g00"])
    pd.read_csv(table).rename(columns={"something_odd_yes": "strange"}).to_csv(table, index=False)
    assert "labels.csv lacks 1 of 38 columns, first 'something_odd_yes'" in message(catalogue, table, tree)


def test_labels_go_by_the_ids_of_sdss(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    """Long ones too, which a table of numbers would round."""
    table = labels(tmp_path, tree, ["1237648720693755918"])
    pd.read_csv(table, dtype={"object_id": str}).rename(columns={"object_id": "objID"}).to_csv(
        table, index=False
    )
    assert read_votes(table, tree).ids == ("1237648720693755918",)


def test_galaxies_without_any_vote_are_named(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    table = labels(tmp_path, tree, ["g00", "g01"])
    pd.read_csv(table).assign(**dict.fromkeys(tree.columns, np.nan)).to_csv(table, index=False)
    assert "has no vote for any of the 2 galaxies" in message(catalogue, table, tree)


def test_another_tree_is_named(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    found = message(catalogue, labels(tmp_path, tree, ["g00"]), load_tree("configs/trees/galaxy_zoo_1.yaml"))
    assert "lacks 5 columns of tree 'galaxy_zoo_1'" in found
    assert "tree=FILE" in found


def test_a_catalogue_that_lacks_columns_or_is_none_is_named(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    table = labels(tmp_path, tree, ["g00"])
    rows = DeltaTable(catalogue).to_pyarrow_table()
    write_deltalake(str(tmp_path / "cut"), rows.drop_columns(["bar_no", "something_odd_yes"]))
    assert "lacks 2 columns of tree 'galaxy_zoo_2', first 'bar_no'" in message(
        str(tmp_path / "cut"), table, tree
    )
    assert "is not a catalogue" in message(str(tmp_path / "nowhere"), table, tree)


@pytest.mark.parametrize("value", [float("nan"), 1.5])
def test_an_answer_that_is_no_probability_is_named(
    value: float, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    rows = DeltaTable(catalogue).to_pyarrow_table()
    column = rows.schema.get_field_index("bar_no")
    spoilt = pa.array([value] * len(rows), pa.float32())
    write_deltalake(str(tmp_path / "bad"), rows.set_column(column, rows.schema.field(column), spoilt))
    found = message(str(tmp_path / "bad"), labels(tmp_path, tree, ["g00"]), tree)
    assert f"bar_no of galaxy g00 is {value:g}; expected a probability" in found


def test_a_galaxy_twice_in_the_catalogue_is_named(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    rows = DeltaTable(catalogue).to_pyarrow_table()
    write_deltalake(str(tmp_path / "twice"), pa.concat_tables([rows, rows]))
    assert "holds galaxy g00 more than once" in message(
        str(tmp_path / "twice"), labels(tmp_path, tree, ["g00"]), tree
    )


def test_labels_that_contradict_the_tree_are_named(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    table = labels(tmp_path, tree, ["g00"])
    pd.read_csv(table).assign(something_odd_yes=0.9, something_odd_no=0.9).to_csv(table, index=False)
    assert "the answers to 'something_odd' of galaxy g00 sum to 1.800" in message(catalogue, table, tree)
