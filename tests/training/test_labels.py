"""Label tables, sound and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.errors import InputError
from pipeline.network import ViewpointNetwork
from pipeline.training import Labels, read_labels
from pipeline.training.labels import LABELS_FILE
from pipeline.tree import DecisionTree, joined, load_tree
from tests.training.small import SPEC


@pytest.fixture
def labels(tree: DecisionTree) -> pd.DataFrame:
    """Three galaxies whose votes obey the tree."""
    raw = torch.rand(3, tree.answer_count, generator=torch.Generator().manual_seed(0))
    votes = ViewpointNetwork(SPEC, tree).output(raw).numpy().round(6)
    table = pd.DataFrame(votes, columns=list(tree.class_columns))
    table.insert(0, "GalaxyID", [100008, 100023, 100053])
    return table


def read(folder: Path, table: pd.DataFrame, tree: DecisionTree) -> Labels:
    table.to_csv(folder / LABELS_FILE, index=False)
    return read_labels(str(folder), tree)


def message(folder: Path, table: pd.DataFrame, tree: DecisionTree) -> str:
    with pytest.raises(InputError) as error:
        read(folder, table, tree)
    assert str(folder / LABELS_FILE) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_labels_come_in_the_order_of_the_tree(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    found = read(tmp_path, labels[labels.columns[::-1]].assign(comment="seen twice"), tree)
    assert found.ids == ("100008", "100023", "100053")
    assert found.images[1] == str(tmp_path / "images_training_rev1" / "100023.jpg")
    assert found.votes.dtype == np.float32
    np.testing.assert_array_equal(found.votes, labels[list(tree.class_columns)].to_numpy(np.float32))
    assert np.isnan(found.frames).all()
    assert found.weights.tolist() == [1, 1, 1]
    assert found[1:].ids == ("100023", "100053")


def test_a_survey_of_its_own_names_columns_images_frames_and_volunteers(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    own = labels.rename(columns=dict(zip(tree.class_columns, tree.columns, strict=True)))
    own = own.rename(columns={"GalaxyID": "object_id"}).assign(
        object_id=["NGC 1", "NGC 2", "M 31"],
        image=["a/1.png", "s3://bucket/2.png", "/data/3.png"],
        frame_pixels=[100.0, float("nan"), 50.5],
        volunteers=[10, 20, 60],
    )
    found = read(tmp_path, own, tree)
    assert found.ids == ("NGC 1", "NGC 2", "M 31")
    assert found.images == (f"{tmp_path}/a/1.png", "s3://bucket/2.png", "/data/3.png")
    np.testing.assert_array_equal(found.frames, [100, np.nan, 50.5])
    np.testing.assert_allclose(found.weights, np.array([10, 20, 60]) / 30, rtol=1e-6)


def test_galaxies_of_several_projects_have_votes_where_they_were_cast(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    both = joined(tree, load_tree(Path("configs/trees/efigi.yaml")))
    assert both.problems() == []
    own = labels.rename(columns=dict(zip(tree.class_columns, tree.columns, strict=True)))
    own[list(both.columns[37:])] = np.nan
    own.loc[2, list(tree.columns)] = np.nan
    own.loc[2, ["bar_length_strong", "bar_length_none"]] = [0.25, 0.75]
    found = read(tmp_path, own, both)
    assert (~np.isnan(found.votes)).sum(axis=1).tolist() == [37, 37, 2]


@pytest.mark.parametrize("column", ["GalaxyID", "Class1.1", "Class11.6"])
def test_a_missing_column_is_named(
    column: str, labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    found = message(tmp_path, labels.drop(columns=column), tree)
    assert f"lacks 1 of 38 columns, first {column!r}" in found


@pytest.mark.parametrize("value", [1.5, -0.1, "many", float("inf")])
def test_a_value_that_is_no_fraction_is_named(
    value: Any, labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels = labels.astype({"Class3.2": object})
    labels.loc[1, "Class3.2"] = value
    found = message(tmp_path, labels, tree)
    assert f"Class3.2 of galaxy 100023 is {value}; expected a fraction" in found


def test_sums_that_contradict_the_tree_are_named(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels["Class7.1"] += 0.2 * (labels.index == 1)
    found = message(tmp_path, labels, tree)
    assert "the answers to 'how_rounded' of galaxy 100023 sum to" in found
    assert "expected cumulative vote fractions" in found


def test_what_was_asked_and_nobody_answered_is_no_contradiction(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels.loc[1, [f"Class8.{i}" for i in range(1, 8)]] = 0.0
    assert len(read(tmp_path, labels, tree)) == 3


def test_an_identifier_that_is_missing_is_named(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels = labels.astype({"GalaxyID": object})
    labels.loc[2, "GalaxyID"] = None
    assert "GalaxyID of row 3 is empty" in message(tmp_path, labels, tree)


def test_a_galaxy_listed_twice_is_named(labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path) -> None:
    labels.loc[2, "GalaxyID"] = 100008
    assert "galaxy 100008 appears more than once" in message(tmp_path, labels, tree)


def test_volunteers_that_are_none_are_refused(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    assert "volunteers sum to 0" in message(tmp_path, labels.assign(volunteers=0), tree)
    assert "volunteers of galaxy 100008 is -3" in message(tmp_path, labels.assign(volunteers=-3), tree)


def test_a_table_that_is_absent_empty_or_ragged_is_one_line(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="training_solutions_rev1"):
        read_labels(str(tmp_path), tree)
    path = tmp_path / LABELS_FILE
    labels.to_csv(path, index=False)
    for content in (path.read_bytes() + b"1," * 60 + b"\n", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot read labels"):
            read_labels(str(tmp_path), tree)
    assert "no galaxies" in message(tmp_path, labels[:0], tree)


def test_volunteers_without_end_are_refused(labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path) -> None:
    table = labels.assign(volunteers=[10, "inf", 10])
    assert "volunteers of galaxy 100023 is inf; expected a number from 0" in message(tmp_path, table, tree)


def test_where_no_image_is_named_it_is_the_challenge_s(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    found = read(tmp_path, labels.assign(image=["a.png", "", ""]), tree)
    assert found.images == (
        f"{tmp_path}/a.png",
        f"{tmp_path}/images_training_rev1/100023.jpg",
        f"{tmp_path}/images_training_rev1/100053.jpg",
    )


def test_ids_that_an_export_guarded_are_read_as_they_were(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    found = read(tmp_path, labels.assign(GalaxyID=["'=1+1", "-1.5", "'a"]), tree)
    assert found.ids == ("=1+1", "-1.5", "'a")
