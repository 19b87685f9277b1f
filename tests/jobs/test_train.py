"""The verb train on a handful of galaxies: what it holds out, cuts out and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from jobs import train
from pipeline.averaging import naive_average
from pipeline.geometry import averaging_transforms, reach
from pipeline.network import RegionBatch
from pipeline.network.checkpoint import read_card
from pipeline.training.dataset import IMAGES_FOLDER, LABELS_FILE
from pipeline.tree import DecisionTree

NETWORK = """
name: tiny
convolutions: [{filters: 4, kernel: 6, pool: 4}, {filters: 6, kernel: 3, pool: 4}]
dense: [{units: 8}]
"""
RECIPE = """
name: one epoch
epochs: 1
held_out: 0.3
augmentation: {rotate: false, translation: 0, zoom: 1, mirror: false, brightness: 0}
"""


@pytest.fixture
def config(tmp_path: Path, tree: DecisionTree) -> train.TrainConfig:
    """Nine galaxies, of which 0.3 are 2.7."""
    random = np.random.default_rng(0)
    votes = pd.DataFrame(random.random((9, tree.answer_count)).round(6), columns=list(tree.class_columns))
    votes.insert(0, "GalaxyID", range(100, 109))
    votes.to_csv(tmp_path / LABELS_FILE, index=False)
    (tmp_path / IMAGES_FOLDER).mkdir()
    for galaxy in votes["GalaxyID"]:
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / IMAGES_FOLDER / f"{galaxy}.jpg")
    (tmp_path / "network.yaml").write_text(NETWORK)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return train.TrainConfig(
        data=str(tmp_path),
        output=str(tmp_path / "weights"),
        network=str(tmp_path / "network.yaml"),
        recipe=str(tmp_path / "recipe.yaml"),
    )


def test_a_part_of_a_row_is_trained_on(config: train.TrainConfig) -> None:
    train.run(config)
    card = read_card(f"{config.output}/tiny.safetensors")
    assert card.data["galaxies"] == 7
    assert card.score["held_out_galaxies"] == [107, 108]
    assert all(isinstance(card.score[name], float) for name in ("rmse_60_transforms", "rmse_single"))


@pytest.mark.parametrize(("galaxies", "share", "held_out"), [(61_578, 0.1, 6157), (500, 0.2, 100), (3, 0, 0)])
def test_the_last_tenth_of_the_challenge_is_that_of_the_paper(
    galaxies: int, share: float, held_out: int
) -> None:
    assert train.held_out_count(galaxies, share) == held_out


def test_regions_reach_as_far_as_the_score_looks(
    config: train.TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the augmentation, the sixty transforms zoom out by 1.2."""
    asked: list[float] = []
    load = train.load_galaxies

    def noted(folder: str, tree: DecisionTree, reach: float) -> Any:
        asked.append(reach)
        return load(folder, tree, reach)

    monkeypatch.setattr(train, "load_galaxies", noted)
    train.run(config)
    assert asked == [reach(min(transform.zoom for transform in averaging_transforms()))]


def test_galaxies_are_scored_a_few_at_a_time(
    config: train.TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[object] = []
    for at_once, sizes in ((64, [2]), (1, [1, 1])):
        seen: list[int] = []

        def noted(network: Any, sampler: Any, regions: RegionBatch, transforms: Any) -> torch.Tensor:
            seen.append(len(regions))  # noqa: B023
            return naive_average(network, sampler, regions, transforms)

        monkeypatch.setattr(train, "naive_average", noted)
        monkeypatch.setattr(train, "_SCORED_AT_ONCE", at_once)
        train.run(config.model_copy(update={"output": f"{config.output}-{at_once}"}))
        assert seen == sizes
        scores.append(read_card(f"{config.output}-{at_once}/tiny.safetensors").score["rmse_single"])
    assert scores[0] == scores[1]
