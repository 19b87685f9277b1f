"""The one resampling against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.transform import AffineTransform, warp

from pipeline.geometry import Transform, linear_map
from pipeline.network import RegionBatch, ViewpointSampler


def batch(pixels: torch.Tensor, center: tuple[float, float], scale: float) -> RegionBatch:
    return RegionBatch(
        pixels[None], torch.tensor([center], dtype=torch.float64), torch.tensor([scale], dtype=torch.float64)
    )


def warped_crops(
    image: NDArray[np.float64], matrix: NDArray[np.float64], center: tuple[float, float]
) -> NDArray[np.float64]:
    """Crops (3, 2, 69, 69) of an image (side, side, 3) under a 2×3 map from crop offset to image offset."""
    crops, offset = [], np.array([[0, 0, center[0]], [0, 0, center[1]]])
    for turn in (0.0, math.pi / 4):
        cos, sin = math.cos(turn), math.sin(turn)
        to_offset = np.array([[3, 0, -102], [0, 3, -102], [0, 0, 1.0]])
        turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ to_offset
        whole = np.vstack([matrix + offset, [0, 0, 1]]) @ turned
        crops.append(warp(image, AffineTransform(whole), output_shape=(69, 69), order=1, mode="reflect"))
    return np.stack(crops).transpose(3, 0, 1, 2)


@settings(max_examples=25, deadline=None)
@given(
    side=st.sampled_from([423, 424]),
    angle=st.floats(0, 360),
    zoom=st.floats(0.75, 1.35),
    mirror=st.booleans(),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    seed=st.integers(0, 1000),
)
def test_crops_equal_scikit_image_s_warp(
    side: int, angle: float, zoom: float, mirror: bool, shift: tuple[float, float], seed: int
) -> None:
    image = np.random.default_rng(seed).random((side, side, 3))
    center = ((side - 1) / 2, (side - 1) / 2)
    linear = linear_map(angle, zoom, mirror)
    found = ViewpointSampler().crops(
        batch(torch.from_numpy(image), center, 1.0),
        torch.from_numpy(linear)[None, None],
        torch.tensor(shift, dtype=torch.float64)[None, None],
    )
    expected = warped_crops(image, np.column_stack([linear, shift]), center)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize(("side", "scale"), [(151, 0.5), (240, 0.8), (848, 2.0)])
def test_other_resolutions_and_centres_off_the_middle_reflect_at_the_border(side: int, scale: float) -> None:
    image = np.random.default_rng(side).random((side, side, 3))
    center = (side / 2 + 11.3, side / 2 - 20.7)
    linear = linear_map(17.0, 1 / 1.2, mirror=True)
    shift = np.array([[2.5], [-1.5]])
    found = ViewpointSampler().crops(
        batch(torch.from_numpy(image), center, scale),
        torch.from_numpy(linear)[None, None],
        torch.from_numpy(shift.T)[None],
    )
    expected = warped_crops(image, scale * np.column_stack([linear, shift]), center)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-4)


def test_bytes_and_fractions_give_the_same_views() -> None:
    pixels = torch.randint(0, 256, (424, 424, 3), dtype=torch.uint8)
    transforms = [Transform(33.0, 1.2, True), Transform()]
    views = [
        ViewpointSampler()(batch(image, (211.5, 211.5), 1.0), transforms)
        for image in (pixels, pixels.float() / 255, pixels.double() / 255)
    ]
    assert views[0].shape == (1, 2, 16, 3, 45, 45)
    assert views[0].dtype == torch.float32
    assert 0 <= float(views[0].min()) < float(views[0].max()) <= 1
    torch.testing.assert_close(views[1], views[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(views[2], views[0], rtol=0, atol=1e-6)


def test_each_galaxy_of_a_batch_is_sampled_about_its_own_centre_and_scale() -> None:
    pixels = torch.randint(0, 256, (3, 300, 300, 3), dtype=torch.uint8)
    center = torch.tensor([[149.5, 149.5], [160.25, 140.0], [145.0, 155.5]], dtype=torch.float64)
    scale = torch.tensor([0.7, 0.5, 0.9], dtype=torch.float64)
    regions, transforms = RegionBatch(pixels, center, scale), [Transform(), Transform(72.0, 1.2)]
    together = ViewpointSampler()(regions, transforms)
    for i in range(3):
        alone = ViewpointSampler()(regions[i : i + 1], transforms[1:])
        torch.testing.assert_close(alone[0, 0], together[i, 1], rtol=0, atol=1e-6)


def test_viewpoints_are_patches_of_the_crops_with_colours_kept_apart() -> None:
    crops = torch.rand(2, 5, 3, 2, 69, 69)
    views = ViewpointSampler().viewpoints(crops)
    assert views.shape == (2, 5, 16, 3, 45, 45)
    assert torch.equal(views[:, :, 0], crops[:, :, :, 0, :45, :45])
    assert torch.equal(views[:, :, 4], crops[:, :, :, 0].flip(-1)[..., :45, :45])
    assert torch.equal(views[:, :, 10], torch.rot90(crops[:, :, :, 1, 24:, 24:], 2, (-2, -1)))
