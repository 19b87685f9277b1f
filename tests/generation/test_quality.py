"""What made galaxies are judged by, where the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.generation.pictures import REACH, TrainingSet, kept_pictures
from pipeline.images.region import cut_region
from tests.benchmarks.imagined import Neighbours, frechet_distance, seen, shapes
from tests.support.galaxies import galaxy


def test_frechet_distance_is_that_of_normal_distributions() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(400, 5))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + np.array([3, 0, 0, 4, 0])) == pytest.approx(25)
    assert frechet_distance(one, 2 * (one - one.mean(axis=0)) + one.mean(axis=0)) == pytest.approx(
        np.trace(np.cov(one, rowvar=False))
    )


def test_a_galaxy_that_was_trained_on_is_known_again_however_it_is_turned() -> None:
    def galaxies(*seeds: int) -> TrainingSet:
        regions = (cut_region(galaxy(seed), REACH) for seed in seeds)
        return TrainingSet(kept_pictures(regions, len(seeds)), torch.zeros(len(seeds), 37))

    trained = galaxies(0, 1, 2)
    near = Neighbours(trained)
    known, angle = trained.seen(torch.tensor([1]), torch.tensor([2.0]), torch.tensor([True])), galaxies(7)
    assert near(known)[0] < 0.5 * near(seen(angle))[0]


def test_shapes_are_those_of_the_light() -> None:
    axis = torch.arange(64) - 31.5
    disk = torch.exp(-torch.hypot(axis[:, None], axis[None, :]) / 4)
    pictures = torch.stack([disk, disk, 0.5 * disk])[None]
    found = shapes(pictures)
    assert found["colour"][0] == pytest.approx(0.5, abs=0.02)
    assert found["half_light_radius"][0] == pytest.approx(4 * 1.678 * 4, rel=0.1)
    assert found["concentration"][0] == pytest.approx(2.994 / 0.824, rel=0.15)
