"""Recentred frames: about which source, and how wide."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.images import cut_region
from pipeline.images.recentre import Frame, cut_frames, recentred

MIDDLE = Frame((211.5, 211.5), 424.0)


def picture(*sources: tuple[float, float, float, float], side: int = 424) -> NDArray[np.uint8]:
    """Gaussian galaxies (x, y, width, peak) on a faint, noisy sky."""
    y, x = np.mgrid[:side, :side]
    light = np.random.default_rng(0).normal(10, 1, (side, side))
    for at_x, at_y, width, peak in sources:
        light += peak * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 2 / width**2)
    return np.repeat(light.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_the_frame_moves_to_the_galaxy_and_is_scaled_to_it() -> None:
    found = recentred(picture((230, 200, 30, 200)), MIDDLE, 2.0)
    assert found.center == pytest.approx((230, 200), abs=1)
    # t / (exp(t) - 1) = 0.2 for t = r²/2 puts a Gaussian's Petrosian radius at 2.3 widths; its aperture
    # is twice that.
    aperture = 2 * 2.3 * 30
    assert 424 / found.pixels == pytest.approx(160 / aperture, rel=0.1)


@pytest.mark.parametrize(("width", "zoom"), [(8, 1.5), (75, 1 / 1.5)])
def test_zooms_are_limited(width: float, zoom: float) -> None:
    assert 424 / recentred(picture((211, 211, width, 200)), MIDDLE, 2.0).pixels == pytest.approx(zoom)


def test_a_large_galaxy_near_the_centre_wins_over_others() -> None:
    found = recentred(picture((215, 205, 20, 150), (330, 330, 30, 220), (195, 240, 3, 220)), MIDDLE, 2.0)
    assert found.center == pytest.approx((215, 205), abs=2)


def test_a_higher_threshold_overlooks_what_is_faint() -> None:
    faint = picture((240, 211, 20, 6))
    assert recentred(faint, MIDDLE, 2.0).center[0] == pytest.approx(240, abs=5)
    assert recentred(faint, MIDDLE, 100.0) == MIDDLE


@pytest.mark.parametrize("value", [0, 255])
def test_without_a_source_the_frame_stays(value: int) -> None:
    assert recentred(np.full((424, 424, 3), value, np.uint8), MIDDLE, 2.0) == MIDDLE


def test_distances_are_measured_in_the_frame_s_pixels() -> None:
    """The same scene at half the resolution, twice as far from the middle of a wider image."""
    found = recentred(picture((230, 200, 30, 200)), MIDDLE, 2.0)
    small = recentred(picture((115, 100, 15, 200), side=300), Frame((105.75, 105.75), 212.0), 2.0)
    assert np.array(small.center) * 2 == pytest.approx(found.center, abs=2)
    assert small.pixels * 2 == pytest.approx(found.pixels, rel=0.05)


def test_one_region_holds_all_frames() -> None:
    image = picture((270, 180, 50, 200))
    region, (frame,) = cut_frames(image, 100.0, None, None, [2.0])
    x, y, scale = frame
    assert scale > 1
    left, top = 211.5 - region.center[0], 211.5 - region.center[1]
    assert (x + left, y + top) == pytest.approx((270, 180), abs=6)
    for center, reach in ((region.center, 100.0), ((x, y), 100.0 * scale)):
        assert min(center) - reach >= 0
        assert max(center) + reach <= region.pixels.shape[0] - 1
    plain, none = cut_frames(image, 100.0, None, None, [])
    assert none == []
    np.testing.assert_array_equal(plain.pixels, cut_region(image, 100.0).pixels)
