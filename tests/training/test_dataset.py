"""Label tables and image folders in the Galaxy Challenge's layout, sound and not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline.errors import InputError
from pipeline.training import load_galaxies, read_labels
from pipeline.training.dataset import IMAGES_FOLDER, LABELS_FILE
from pipeline.tree import DecisionTree


@pytest.fixture
def labels(tree: DecisionTree) -> pd.DataFrame:
    values = np.random.default_rng(0).random((3, 37)).round(6)
    table = pd.DataFrame(values, columns=list(tree.class_columns))
    table.insert(0, "GalaxyID", [100008, 100023, 100053])
    return table


def write(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / LABELS_FILE
    table.to_csv(path, index=False)
    return path


def message(path: Path, tree: DecisionTree) -> str:
    with pytest.raises(InputError) as error:
        read_labels(path, tree)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_labels_come_in_the_order_of_the_tree(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    shuffled = labels[labels.columns[::-1]].assign(comment="seen twice")
    ids, votes = read_labels(write(tmp_path, shuffled), tree)
    assert ids == (100008, 100023, 100053)
    assert votes.dtype == np.float32
    np.testing.assert_array_equal(votes, labels[list(tree.class_columns)].to_numpy(np.float32))


@pytest.mark.parametrize("column", ["GalaxyID", "Class1.1", "Class11.6"])
def test_a_missing_column_is_named(
    column: str, labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    path = write(tmp_path, labels.drop(columns=column))
    assert f"lacks 1 of 38 columns, first {column!r}" in message(path, tree)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "many", float("inf")])
def test_a_value_that_is_no_fraction_is_named(
    value: object, labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels = labels.astype({"Class3.2": object})
    labels.loc[1, "Class3.2"] = value
    found = message(write(tmp_path, labels), tree)
    assert f"Class3.2 of galaxy 100023 is {value}; expected a fraction" in found


@pytest.mark.parametrize("galaxy", ["", "NGC 1300", 100008.5])
def test_an_identifier_that_is_no_whole_number_is_named(
    galaxy: object, labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    labels = labels.astype({"GalaxyID": object})
    labels.loc[2, "GalaxyID"] = galaxy
    assert "GalaxyID" in message(write(tmp_path, labels), tree)


def test_a_galaxy_listed_twice_is_named(labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path) -> None:
    labels.loc[2, "GalaxyID"] = 100008
    assert "galaxy 100008 appears more than once" in message(write(tmp_path, labels), tree)


def test_a_table_that_is_absent_empty_or_ragged_is_one_line(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    assert "cannot read labels" in message(tmp_path / "none.csv", tree)
    path = write(tmp_path, labels)
    path.write_text(path.read_text() + "1," * 60 + "\n")
    assert "cannot read labels" in message(path, tree)
    path.write_bytes(b"")
    assert "cannot read labels" in message(path, tree)
    assert "no galaxies" in message(write(tmp_path, labels[:0]), tree)


def images(folder: Path, labels: pd.DataFrame, side: int = 64) -> None:
    (folder / IMAGES_FOLDER).mkdir()
    for level, galaxy in enumerate(labels["GalaxyID"]):
        pixels = np.full((side, side, 3), 40 * level + 10, np.uint8)
        Image.fromarray(pixels).save(folder / IMAGES_FOLDER / f"{galaxy}.jpg")


def test_galaxies_are_loaded_in_the_order_of_the_labels(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    write(tmp_path, labels)
    images(tmp_path, labels)
    found = load_galaxies(tmp_path, tree, reach=100.0)
    assert len(found) == 3
    assert found.ids == (100008, 100023, 100053)
    assert found.regions.pixels.dtype == torch.uint8
    assert found.regions.pixels.float().mean((1, 2, 3)).tolist() == pytest.approx([10, 50, 90], abs=2)
    assert found.regions.scale.tolist() == [64 / 424] * 3
    some = found.subset(torch.tensor([2, 0]))
    assert some.ids == (100053, 100008)
    assert torch.equal(some.votes, found.votes[[2, 0]])
    assert torch.equal(some.regions.pixels, found.regions.pixels[[2, 0]])
    last = found[1:]
    assert last.ids == (100023, 100053)
    assert last.regions.pixels.data_ptr() == found.regions.pixels[1].data_ptr()


def test_an_image_that_is_absent_damaged_or_of_another_size_is_named(
    labels: pd.DataFrame, tree: DecisionTree, tmp_path: Path
) -> None:
    write(tmp_path, labels)
    images(tmp_path, labels)
    path = tmp_path / IMAGES_FOLDER / "100023.jpg"
    whole = path.read_bytes()
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match=r"100023\.jpg has another size"):
        load_galaxies(tmp_path, tree, reach=100.0)
    path.write_bytes(whole[:-30])
    with pytest.raises(InputError, match=r"cannot use .*100023\.jpg"):
        load_galaxies(tmp_path, tree, reach=100.0)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot use .*100023\.jpg"):
        load_galaxies(tmp_path, tree, reach=100.0)
