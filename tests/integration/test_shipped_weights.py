"""The shipped weights on real galaxies that they never saw."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.averaging import SharedAverage
from pipeline.evaluation import rmse
from pipeline.geometry import averaging_transforms, reach
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.training import load_galaxies
from pipeline.tree import load_tree

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "galaxy_zoo_challenge"


@pytest.mark.skipif(not DATA.exists(), reason=f"the Galaxy Challenge's galaxies are not at {DATA}")
def test_the_card_tells_the_score() -> None:
    tree = load_tree()
    network, card = load_network(DEFAULT_WEIGHTS, tree)
    galaxies = load_galaxies(DATA, tree, reach(min(t.zoom for t in averaging_transforms())))
    held_out = [galaxies.ids.index(name) for name in card.score["held_out_galaxies"]]
    assert len(held_out) == 100
    assert card.data["galaxies"] == len(galaxies) - len(held_out)
    unseen = galaxies.subset(torch.tensor(held_out))
    answers = SharedAverage(network)(unseen.regions)
    score = rmse(answers, unseen.votes)
    assert score <= 0.125
    in_bfloat16 = SharedAverage(network, dtype=torch.bfloat16)(unseen.regions)
    assert 1e-5 < float((in_bfloat16 - answers).abs().max()) < 2e-3
    assert score == pytest.approx(card.score["rmse_60_transforms"], abs=1e-4)


def test_the_weights_are_small_and_honest() -> None:
    _, card = load_network(DEFAULT_WEIGHTS, load_tree())
    assert Path(DEFAULT_WEIGHTS).stat().st_size < 12e6
    assert card.not_good_for
    assert {"seed", "epochs"} <= card.recipe.keys()
