"""A picture is compared with those that a network was trained on."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import hubble_deep_field

from pipeline.confidence import Familiarity, fit_familiarity
from pipeline.confidence.appearance import Appearance
from pipeline.geometry import IDENTITY
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, ViewpointSampler, load_network
from pipeline.tree import load_tree

APPEARANCE = Appearance(load_network(DEFAULT_WEIGHTS, load_tree())[0])


def regions(pixels: np.ndarray, center: float, scale: float) -> RegionBatch:
    count = len(pixels)
    return RegionBatch(
        torch.from_numpy(pixels),
        torch.full((count, 2), center, dtype=torch.float64),
        torch.full((count,), scale, dtype=torch.float64),
    )


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(-3, 3), st.sampled_from([0.25, 0.5, 1.0]))
def test_crops_are_the_samplers(seed: int, off: float, scale: float) -> None:
    side = round(352 * scale)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, side, side, 3), np.uint8)
    batch, sampler = regions(pixels, (side - 1) / 2 + off, scale), ViewpointSampler()
    expected = sampler.sample(batch, sampler.grid([IDENTITY]))[:, 0, :, 0]
    assert (APPEARANCE.crops(batch) - expected).abs().max() < 1e-3


def test_a_picture_of_one_level_has_finite_statistics() -> None:
    statistics, size = APPEARANCE(regions(np.zeros((1, 176, 176, 3), np.uint8), 87.5, 0.5))
    assert torch.isfinite(statistics).all()
    assert torch.isfinite(size).all()


def test_statistics_turn_with_the_picture_but_little() -> None:
    picture = np.ascontiguousarray(hubble_deep_field()[100:452, 100:452])
    turned = np.ascontiguousarray(np.rot90(picture))
    one, other = (APPEARANCE(regions(p[None], 175.5, 1.0))[0] for p in (picture, turned))
    assert (one - other).abs().max() < 0.3


def familiar() -> tuple[Familiarity, np.ndarray]:
    random = np.random.default_rng(0)
    spread = random.normal(size=(6, 6))
    every = random.normal(size=(6000, 6)) @ spread
    return fit_familiarity(every[:3000], np.linspace(0.2, 0.4, 3000), every[3000:5000]), every[5000:]


def test_one_in_twenty_of_the_same_kind_is_out_of_place() -> None:
    familiarity, others = familiar()
    assert 0.03 < (familiarity.out_of_place(others) > 1).mean() < 0.07


def test_others_are_further_away() -> None:
    familiarity, others = familiar()
    assert np.median(familiarity.out_of_place(others + 20)) > 2


def test_the_median_size_is_one() -> None:
    familiarity, _ = familiar()
    assert familiarity.frame_ratio([0.3, 0.6]).round(2).tolist() == [1.0, 2.0]
    smallest, largest = familiarity.usual_frames
    assert smallest < 1 < largest
