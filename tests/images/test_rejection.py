"""What a frame shows, measured and judged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.images.rejection import NONE, REASONS, load_rejection, verdict_on
from pipeline.images.scrutiny import Scrutiny, scrutinise

SIDE = 200


def sky(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(12, 4, (SIDE, SIDE, 1)) * np.ones(3)


def picture(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(light, 0, 255).astype(np.uint8)


def blob(sigma_x: float, sigma_y: float, peak: float, x: float = 99.5) -> NDArray[np.float64]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    shape = np.exp(-(((columns - x) / sigma_x) ** 2) / 2 - ((rows - 99.5) / sigma_y) ** 2 / 2)
    return np.asarray(peak * shape[..., None] * np.ones(3))


def test_a_star_an_empty_sky_and_a_galaxy() -> None:
    assert verdict_on(picture(sky() + blob(3, 3, 150))).rejection == "star"
    assert verdict_on(picture(sky())).rejection == "empty"
    galaxy = verdict_on(picture(sky() + blob(25, 12, 90)))
    assert galaxy.rejection == NONE
    assert galaxy.not_galaxy < 0.5


def test_a_green_ghost_is_light_of_a_bright_star() -> None:
    galaxy = blob(25, 12, 90)
    verdict = verdict_on(picture(sky() + galaxy * [0.2, 1, 0.2]))
    assert (verdict.rejection, verdict.not_galaxy) == ("saturated", 1)
    for colour in ([1, 0.8, 0.6], [0.5, 0.8, 1], [0.9, 1, 0.9]):
        assert verdict_on(picture(sky() + galaxy * colour)).rejection == NONE


def test_what_is_measured_closely() -> None:
    """Two stars that are 6 pixels apart are parted among all pixels; one colour within another is seen."""
    pair = scrutinise(picture(sky() + blob(2, 2, 150, x=96.5) + blob(2, 2, 120, x=103.5)))
    star = scrutinise(picture(sky() + blob(2, 2, 150)))
    assert star.close_half_light == pytest.approx(1.18 * 2 * 100 / SIDE, rel=0.2)
    assert star.close_nearest < -5
    assert pair.close_nearest > -1
    ringed = blob(12, 12, 60) * [0.5, 0.8, 1] + blob(4, 4, 90) * [1, 0.8, 0.5]
    assert scrutinise(picture(sky() + ringed)).redder > 0.05
    assert abs(star.redder) < 0.05


def test_what_is_measured_of_a_source() -> None:
    seen = scrutinise(picture(sky() + blob(10, 5, 150) + blob(3, 3, 150, x=160)))
    assert seen.distance < 1
    assert seen.major / seen.minor == pytest.approx(2, rel=0.1)
    assert seen.point_ratio == pytest.approx(7 / 3, rel=0.2)
    assert seen.sources == 2
    assert seen.saturated == 0


def test_a_line_across_the_frame_stands_out() -> None:
    trail = sky()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    trail[np.abs(rows - columns) < 3] += 100
    assert scrutinise(picture(trail)).line > 0.6
    assert scrutinise(picture(sky())).line < 0.4
    assert scrutinise(picture(sky() + blob(25, 12, 90))).line < 0.6


def test_the_frame_is_what_is_looked_at() -> None:
    wide = np.tile(picture(sky() + blob(3, 3, 150)), (1, 3, 1))
    seen = scrutinise(wide, (299.5, 99.5), SIDE)
    assert seen == scrutinise(picture(sky() + blob(3, 3, 150)))
    assert scrutinise(wide, (0.0, 0.0), 40).distance > 6


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(8, 40), st.integers(8, 40), st.just(3)),
        elements=st.sampled_from([0, 1, 30, 255]),
    )
)
def test_any_picture_gets_a_verdict(pixels: NDArray[np.uint8]) -> None:
    verdict = verdict_on(pixels)
    assert verdict.rejection in REASONS
    assert all(math.isfinite(number) for number in verdict[1:])
    assert 0 <= verdict.not_galaxy <= 1


def test_what_comes_along_was_learnt_from_these_measures() -> None:
    rejection = load_rejection()
    assert rejection.measures == Scrutiny._fields
    assert all(max(tree.measure) < len(Scrutiny._fields) for tree in rejection.trees)
