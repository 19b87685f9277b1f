"""Affine maps, crops and their reach, against complex numbers and brute force."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import averaging_transforms, crop_maps, linear_map, reach

CENTER = 211.5
"""Middle of a 424-pixel frame."""

ANGLES = st.floats(-720, 720)
ZOOMS = st.floats(0.5, 2)


def crop_positions() -> NDArray[np.float64]:
    """Frame offsets (x, y) of all pixels of both crops, shape (2, 2, 69, 69)."""
    y, x = np.mgrid[:69, :69].astype(float)
    return np.einsum("cij,jyx->ciyx", crop_maps(), np.stack([x, y, np.ones_like(x)]))


def test_crop_a_samples_every_third_pixel_about_the_middle() -> None:
    upright = crop_positions()[0] + CENTER
    expected = np.array([3 * i + 109.5 for i in range(69)])
    np.testing.assert_array_equal(upright[0], np.tile(expected, (69, 1)))
    np.testing.assert_array_equal(upright[1], np.tile(expected[:, None], (1, 69)))


def test_crop_b_is_crop_a_turned_by_45_degrees() -> None:
    upright, turned = crop_positions()
    expected = (upright[0] + 1j * upright[1]) * cmath.exp(1j * math.pi / 4)
    np.testing.assert_allclose(turned[0] + 1j * turned[1], expected, atol=1e-12)


def test_a_positive_rotation_turns_x_towards_y() -> None:
    np.testing.assert_allclose(linear_map(rotation=90.0) @ [1, 0], [0, 1], atol=1e-15)
    np.testing.assert_allclose(linear_map(rotation=90.0) @ [0, 1], [-1, 0], atol=1e-15)


def test_a_mirror_reverses_x_before_the_rotation() -> None:
    np.testing.assert_array_equal(linear_map(mirror=True), [[-1, 0], [0, 1]])
    np.testing.assert_allclose(linear_map(rotation=90.0, mirror=True) @ [1, 0], [0, -1], atol=1e-15)


@given(ANGLES, ZOOMS, st.booleans(), st.floats(-100, 100), st.floats(-100, 100))
def test_linear_maps_are_products_of_complex_numbers(
    angle: float, zoom: float, mirror: bool, x: float, y: float
) -> None:
    z = complex(-x if mirror else x, y) * cmath.exp(1j * math.radians(angle)) / zoom
    np.testing.assert_allclose(linear_map(angle, zoom, mirror) @ [x, y], [z.real, z.imag], atol=1e-9)


@given(ANGLES, ZOOMS, st.booleans())
def test_the_determinant_tells_the_mirror_and_the_zoom(angle: float, zoom: float, mirror: bool) -> None:
    determinant = np.linalg.det(linear_map(angle, zoom, mirror))
    assert determinant == pytest.approx((-1 if mirror else 1) / zoom**2)


def test_reach_is_the_farthest_sample_of_all_sixty_transforms() -> None:
    offsets = crop_positions()
    farthest = max(
        np.abs(np.einsum("ij,cjyx->ciyx", transform.matrix(), offsets)).max()
        for transform in averaging_transforms()
    )
    assert reach(1 / 1.2) == pytest.approx(farthest, rel=1e-12)


@given(ANGLES, st.floats(1 / 1.3, 1.3), st.booleans(), st.floats(-4, 4), st.floats(-4, 4))
def test_no_map_in_the_stated_range_samples_beyond_its_reach(
    angle: float, zoom: float, mirror: bool, dx: float, dy: float
) -> None:
    corners = crop_positions()[:, :, [0, 0, 68, 68], [0, 68, 0, 68]]
    moved = np.einsum("ij,cjk->cik", linear_map(angle, zoom, mirror), corners) + np.array([[dx], [dy]])
    assert np.abs(moved).max() <= reach(1 / 1.3, 4) + 1e-9
