"""Random perturbations: their distributions, and what they do to the pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.config import load_config
from pipeline.errors import InputError
from pipeline.geometry import IDENTITY, crop_maps
from pipeline.network import RegionBatch, ViewpointSampler
from pipeline.training.augmentation import Augmentation, draw, perturbed_viewpoints

DRAWS = 20_000
FAR = 1.95 / math.sqrt(DRAWS)
"""Kolmogorov–Smirnov distance that equal distributions exceed once in a thousand times."""

STILL = Augmentation(rotate=False, translation=0, zoom=1, mirror=False, brightness=0)


def drawn(augmentation: Augmentation, n: int = DRAWS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    draws = draw(augmentation, n, torch.Generator().manual_seed(5))
    linear, shift = draws.linear, draws.shift
    assert draws.color.shape == (n, 3)
    assert linear.shape == (n, 1, 2, 2)
    assert shift.shape == (n, 1, 2)
    assert linear.dtype == shift.dtype == torch.float64
    return linear[:, 0].numpy(), shift[:, 0].numpy()


def distance_from_uniform(values: NDArray[np.float64], low: float, high: float) -> float:
    """Kolmogorov–Smirnov distance of values to the uniform distribution on [low, high]."""
    steps = (np.sort(values) - low) / (high - low)
    assert steps[0] >= 0
    assert steps[-1] <= 1
    return float(np.abs(steps - (np.arange(len(values)) + 0.5) / len(values)).max())


def test_angle_zoom_shift_and_mirror_have_the_paper_s_distributions() -> None:
    linear, shift = drawn(Augmentation())
    determinant = np.linalg.det(linear)
    angle = np.arctan2(-linear[:, 0, 1], linear[:, 1, 1]) % (2 * np.pi)
    zoom = np.abs(determinant) ** -0.5
    assert distance_from_uniform(angle, 0, 2 * np.pi) < FAR
    assert distance_from_uniform(np.log(zoom), -math.log(1.3), math.log(1.3)) < FAR
    assert distance_from_uniform(shift[:, 0], -4, 4) < FAR
    assert distance_from_uniform(shift[:, 1], -4, 4) < FAR
    assert abs((determinant < 0).mean() - 0.5) < 4 * 0.5 / math.sqrt(DRAWS)


def test_the_draws_are_independent_of_each_other() -> None:
    linear, shift = drawn(Augmentation())
    determinant = np.linalg.det(linear)
    angle = np.arctan2(-linear[:, 0, 1], linear[:, 1, 1])
    columns = [determinant < 0, np.log(np.abs(determinant)), np.cos(angle), np.sin(angle), *shift.T]
    correlation = np.corrcoef(np.stack([c.astype(float) for c in columns]))
    assert np.abs(correlation - np.eye(6)).max() < 4.5 / math.sqrt(DRAWS)


def test_each_map_is_a_rotation_of_a_mirror_over_a_zoom() -> None:
    linear, _ = drawn(Augmentation(), 100)
    for matrix in linear:
        determinant = np.linalg.det(matrix)
        rotation = matrix @ np.diag([np.sign(determinant), 1]) * abs(determinant) ** -0.5
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)


def test_everything_can_be_switched_off() -> None:
    linear, shift = drawn(STILL, 10)
    np.testing.assert_array_equal(linear, np.broadcast_to(np.eye(2), (10, 2, 2)))
    np.testing.assert_array_equal(shift, np.zeros((10, 2)))
    assert len(np.unique(drawn(Augmentation(rotate=False, mirror=False), 50)[0][:, 0, 1])) == 1


def test_reach_covers_every_sample_and_no_more_than_it_must() -> None:
    linear, shift = drawn(Augmentation())
    corners = np.array([[x, y, 1] for x in (0, 68) for y in (0, 68)]).T
    offsets = np.einsum("nij,cjk->ncik", linear, crop_maps() @ corners) + shift[:, None, :, None]
    farthest, reach = np.abs(offsets).max(), Augmentation().reach
    assert 0.99 * reach < farthest <= reach


def frames(n: int, value: float | None = None) -> RegionBatch:
    pixels = torch.rand(n, 320, 320, 3) if value is None else torch.full((n, 320, 320, 3), value)
    return RegionBatch(
        pixels, torch.full((n, 2), 159.5, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
    )


def test_brightness_moves_all_pixels_along_one_direction_of_colour() -> None:
    bright = STILL.model_copy(update={"brightness": 0.5})
    n, sampler, generator = 60, ViewpointSampler(), torch.Generator().manual_seed(1)
    views = perturbed_viewpoints(sampler, frames(n, 0.5), draw(bright, n, generator))
    assert views.shape == (n, 16, 3, 45, 45)
    assert views.dtype == torch.float32
    step = views - 0.5
    color = step[:, 0, :, 0, 0].double()
    torch.testing.assert_close(
        step.double(), color[:, None, :, None, None].expand_as(step), atol=1e-6, rtol=0
    )
    alpha = color / torch.tensor([0.0148366, 0.01253134, 0.01040762], dtype=torch.float64)
    torch.testing.assert_close(alpha, alpha[:, :1].expand(-1, 3), atol=2e-5, rtol=0)
    assert abs(float(alpha[:, 0].mean())) < 4 * 0.5 / math.sqrt(n)
    assert float(alpha[:, 0].std()) == pytest.approx(0.5, rel=4 / math.sqrt(2 * n))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_brightness_is_clipped(value: float) -> None:
    strong = STILL.model_copy(update={"brightness": 20.0})
    draws = draw(strong, 20, torch.Generator().manual_seed(1))
    views = perturbed_viewpoints(ViewpointSampler(), frames(20, value), draws)
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1
    assert 0.2 < float((views == value).float().mean()) < 0.8


def test_without_perturbation_the_views_are_those_of_the_identity() -> None:
    regions, sampler = frames(2), ViewpointSampler()
    views = perturbed_viewpoints(sampler, regions, draw(STILL, 2, torch.Generator()))
    torch.testing.assert_close(views, sampler(regions, [IDENTITY])[:, 0])


def test_each_galaxy_and_each_showing_is_perturbed_anew() -> None:
    regions, sampler, generator = frames(1), ViewpointSampler(), torch.Generator().manual_seed(1)
    twice = RegionBatch(*(t.repeat(2, *[1] * (t.ndim - 1)) for t in vars(regions).values()))
    shown = [perturbed_viewpoints(sampler, twice, draw(Augmentation(), 2, generator)) for _ in range(2)]
    assert not torch.allclose(shown[0][0], shown[0][1], atol=1e-3)
    assert not torch.allclose(shown[0][0], shown[1][0], atol=1e-3)
    draws = draw(Augmentation(), 2, torch.Generator().manual_seed(1))
    again = perturbed_viewpoints(sampler, twice, draws)
    assert torch.equal(again, shown[0])
    # Galaxies of some rows are shown as they would be among all.
    second = RegionBatch(regions.pixels, regions.center, regions.scale)
    assert torch.equal(perturbed_viewpoints(sampler, second, draws[torch.tensor([1])]), shown[0][1:])


@pytest.mark.parametrize("wrong", ["zoom=0.9", "translation=-1", "brightness=-1", "shear=1"])
def test_a_range_that_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match=wrong.split("=")[0]):
        load_config(Augmentation, overrides=[wrong])
