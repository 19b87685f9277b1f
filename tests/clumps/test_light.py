"""Pictures as light, and clumps as light that is put in and measured again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clumps.injection import RATIOS, inject, point_width
from pipeline.clumps.light import galaxy_light, to_light, to_picture
from pipeline.clumps.photometry import belong, flux_ratios
from tests.support.clumpy import clumpy
from tests.support.galaxies import galaxy

BRIGHT = 0.02
"""Flux ratio of which a point on the disk can be measured in 8 bits."""


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_light_and_back_is_the_same_picture(pixels: list[tuple[int, int, int]]) -> None:
    picture = np.array([pixels], np.uint8)
    np.testing.assert_array_equal(to_picture(to_light(picture)), picture)


def test_more_light_is_brighter_and_keeps_its_colour() -> None:
    light = np.array([[[0.1, 0.2, 0.3]]], np.float32)
    dim, bright = to_picture(light)[0, 0], to_picture(1000 * light)[0, 0]
    assert (bright > dim).all()
    assert bright.max() == 255
    np.testing.assert_allclose(bright / bright.max(), [1 / 3, 2 / 3, 1], atol=0.01)


def test_the_light_of_a_galaxy_is_where_it_is() -> None:
    found = galaxy_light(galaxy(0))
    middle = found.own.shape[0] // 2
    assert found.own[middle, middle]
    assert not found.own[:20].any()
    assert found.total[0] > found.total[2] > 0  # it is yellow


@pytest.mark.parametrize("picture", [np.zeros((60, 60, 3), np.uint8), np.full((3, 3, 3), 255, np.uint8)])
def test_a_picture_without_a_galaxy_has_no_clumps_to_measure(picture: np.ndarray) -> None:
    light = galaxy_light(picture)
    assert np.isfinite(flux_ratios(light, [1], [1], [2])).all()
    assert len(inject(np.zeros((60, 60, 3), np.uint8), np.random.default_rng(0)).x) == 0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_what_is_injected_lies_on_the_galaxy_and_apart(seed: int) -> None:
    picture = galaxy(seed % 5)
    made = inject(picture, np.random.default_rng(seed))
    light = galaxy_light(picture)
    assert light.own[np.rint(made.y).astype(int), np.rint(made.x).astype(int)].all()
    assert ((made.ratio >= RATIOS[0]) & (made.ratio <= RATIOS[1])).all()
    places = np.stack([made.x, made.y], axis=1)
    distances = np.hypot(*(places[:, None] - places[None]).T) + 1e9 * np.eye(len(places))
    assert (distances >= 1.2 * made.width).all()
    again = inject(picture, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.picture, made.picture)


def test_fluxes_are_measured_as_they_were_injected() -> None:
    measured, put = [], []
    for seed in range(6):
        picture = galaxy(seed)
        made = inject(picture, np.random.default_rng(seed + 3))
        places = np.stack([made.x, made.y], axis=1)
        apart = np.hypot(*(places[:, None] - places[None]).T) + 1e9 * np.eye(len(places)) > 3 * made.width
        alone = apart.all(axis=1) & (made.ratio > BRIGHT)
        before = galaxy_light(picture)
        after = galaxy_light(made.picture)
        after.total[:] = before.total
        ratios = flux_ratios(after, made.x, made.y, np.full(len(made.x), 2 * made.width))[:, 2]
        measured += ratios[alone].tolist()
        put += made.ratio[alone].tolist()
    assert len(put) >= 8
    error = np.abs(np.log(np.array(measured) / put))
    assert np.median(error) < 0.15
    assert error.max() < 0.7


def test_the_width_of_points_is_that_of_the_stars() -> None:
    picture = galaxy(1).astype(float)
    rows, columns = np.mgrid[:424, :424]
    for x, y in ((40, 40), (380, 60), (60, 370)):
        star = 230 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (8 / 2.355) ** 2))
        picture += star[..., None]
    width = point_width(galaxy_light(np.clip(picture, 0, 255).astype(np.uint8)))
    assert 4 <= width < 12
    assert point_width(galaxy_light(galaxy(1))) == 8


def test_what_lies_beside_the_galaxy_or_is_redder_is_no_clump() -> None:
    light = galaxy_light(clumpy(()))
    ratios = np.array([[0.1, 0.1, 0.2], [0.1, 0.1, 0.2], [0.2, 0.1, 0.1]], np.float32)
    assert belong(light, [215.0, 8.0, 215.0], [240.0, 8.0, 240.0], ratios).tolist() == [True, False, False]
