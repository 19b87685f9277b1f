"""A network learns how its hidden layer becomes embeddings from galaxies that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.recipes.embedding import pictures_in
from pipeline.errors import InputError
from pipeline.network import Card, load_network, read_card, save_network
from pipeline.representations import read_projection
from pipeline.training.labels import Labels
from pipeline.training.projection import FEWEST_GALAXIES, learn_projection
from pipeline.training.weights import judge
from pipeline.tree import DecisionTree
from tests.support.galaxies import galaxy, png
from tests.support.trained import trained_like
from tests.training.small import SPEC

DIFFERENT = 25


@pytest.fixture
def weights(tree: DecisionTree, tmp_path: Path) -> str:
    """Of a small network."""
    weights = str(tmp_path / "w.safetensors")
    card = Card(network=SPEC, tree=tree.name, columns=tree.columns)
    save_network(trained_like(SPEC, tree), weights, card)
    return weights


@pytest.fixture
def galaxies(tree: DecisionTree, tmp_path: Path) -> Labels:
    """As few as there may be, each picture several times."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(FEWEST_GALAXIES):
        (folder / f"{number:03d}.png").write_bytes(png(galaxy(number % DIFFERENT, 64)))
    return pictures_in(str(folder), tree)


def test_it_is_kept_beside_weights_where_there_are_enough_galaxies(
    weights: str, galaxies: Labels, tree: DecisionTree, tmp_path: Path
) -> None:
    none = galaxies[:0]
    judge(weights, tree, galaxies[:-1], none, companions=True)
    judge(weights, tree, galaxies, none, companions=False)
    assert not list(tmp_path.glob("*.embedding.*"))
    judge(weights, tree, galaxies, none, companions=True)
    (written,) = tmp_path.glob("*.embedding.*")
    learnt_at = written.stat().st_mtime_ns
    judge(weights, tree, galaxies, none, companions=True)
    assert written.stat().st_mtime_ns == learnt_at
    projection = read_projection(weights, read_card(weights).sha256)
    assert projection.about.galaxies == FEWEST_GALAXIES
    assert 0.9 < projection.about.explained_variance <= 1


def test_of_many_galaxies_some_are_looked_at(weights: str, galaxies: Labels, tree: DecisionTree) -> None:
    network = load_network(weights, tree)[0]
    every = learn_projection(network, "a" * 64, galaxies[:DIFFERENT])
    some = learn_projection(network, "a" * 64, galaxies, most=2 * DIFFERENT)
    assert (every.about.galaxies, some.about.galaxies) == (DIFFERENT, 2 * DIFFERENT)
    np.testing.assert_allclose(every.mean, some.mean, atol=0.05)


def test_a_folder_of_few_pictures_is_refused(tree: DecisionTree, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one")
    with pytest.raises(InputError, match=r"holds 1 pictures .*; expected at least 200"):
        pictures_in(str(tmp_path), tree)
