"""The shipped weights on real galaxies that they never saw."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.averaging import SharedAverage
from pipeline.evaluation import rmse
from pipeline.geometry import averaging_transforms, reach
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.tree import load_tree

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "galaxy_zoo_challenge"


@pytest.mark.skipif(not DATA.exists(), reason=f"the Galaxy Challenge's galaxies are not at {DATA}")
def test_the_card_tells_the_score() -> None:
    tree = load_tree()
    network, card = load_network(DEFAULT_WEIGHTS, tree)
    labels = read_labels(str(DATA), tree)[400:]
    held_out = tuple(str(name).removeprefix("challenge-") for name in card.score["held_out_galaxies"])
    assert held_out[-100:] == labels.ids
    unseen = load_galaxies(labels, Cut(reach(min(t.zoom for t in averaging_transforms()))))
    ((rows, regions),) = unseen.regions.by_side()
    assert len(rows) == 100
    answers = SharedAverage(network)(regions)
    score = rmse(answers, unseen.votes)
    assert score <= 0.096
    low, high = card.score["rmse_60_transforms_95_percent"]
    assert low < score < high
    in_bfloat16 = SharedAverage(network, dtype=torch.bfloat16)(regions[:4])
    assert 1e-5 < float((in_bfloat16 - answers[:4]).abs().max()) < 2e-3
    assert score == pytest.approx(0.0934, abs=2e-4)


def test_the_weights_are_small_and_honest() -> None:
    _, card = load_network(DEFAULT_WEIGHTS, load_tree())
    assert Path(DEFAULT_WEIGHTS).stat().st_size < 12e6
    assert card.not_good_for
    assert "seed" in card.recipe
