"""Fluxes by band to a picture: bad pixels, and Lupton's mapping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.images import BandImages, ColorMapping, ImageError, color_picture, mask_bits, stack_bands
from pipeline.images.bands import nearest_good

FLUX = st.floats(-1e6, 1e6, width=32)
SHAPES = st.tuples(st.integers(8, 20), st.integers(8, 20), st.just(3))
MAPPINGS = st.builds(
    ColorMapping,
    bands=st.just(("i", "r", "g")),
    scales=st.tuples(*[st.floats(0.1, 10)] * 3),
    stretch=st.floats(1e-3, 1e3),
    Q=st.floats(0.1, 30),
    minimum=st.floats(-1, 1),
)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, SHAPES, elements=FLUX), MAPPINGS)
def test_a_picture_has_the_size_of_its_fluxes_and_black_where_there_is_none(flux, mapping):
    picture = color_picture(flux, mapping)
    assert picture.shape == flux.shape
    assert picture.dtype == np.uint8
    scaled = flux.astype(np.float64) * mapping.scales - mapping.minimum
    assert not picture[scaled.mean(axis=-1) < 0].any()
    assert not picture[scaled < 0].any()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, SHAPES, elements=st.floats(0, 1e5, width=32)), MAPPINGS, st.floats(1, 100))
def test_more_light_is_nowhere_darker(flux, mapping, brighter):
    mapping = mapping.model_copy(update={"minimum": 0.0})
    dim, bright = (color_picture(flux * factor, mapping).astype(int) for factor in (1, np.float32(brighter)))
    assert (bright >= dim - 1).all()  # rounding


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e4, width=32), min_size=8, max_size=40), MAPPINGS)
def test_grey_light_is_grey_and_rises_with_its_flux(values, mapping):
    mapping = mapping.model_copy(update={"scales": (1.0, 1.0, 1.0)})
    column = np.sort(np.array(values, np.float32))
    flux = np.broadcast_to(column[:, None, None], (len(values), 8, 3))
    picture = color_picture(flux, mapping).astype(int)
    assert (np.ptp(picture, axis=-1) == 0).all()
    assert (np.diff(picture[:, 0, 0]) >= -1).all()


def test_the_mapping_is_luptons():
    mapping = ColorMapping(
        bands=("i", "r", "g"), scales=(1.0, 1.5, 2.5), stretch=0.231, Q=4.62, minimum=-0.02
    )
    flux = np.random.default_rng(0).uniform(0, 0.2, (9, 9, 3)).astype(np.float32)
    scaled = flux * np.array([1, 1.5, 2.5]) + 0.02
    brightness = scaled.mean(axis=-1, keepdims=True)
    bright = 0.1 * np.arcsinh(20 * brightness) / np.arcsinh(0.462) * scaled / brightness
    bright /= np.maximum(bright.max(axis=-1, keepdims=True), 1)
    assert np.abs(color_picture(flux, mapping) - np.floor(255 * bright)).max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=FLUX),
    st.randoms(use_true_random=False),
)
def test_bad_pixels_take_the_value_of_a_nearest_good_one(flux, chance):
    bad = np.array([[chance.random() < 0.4 for _ in row] for row in flux])
    if bad.all():
        bad[0, 0] = False
    flux[bad] = np.nan
    filled = nearest_good(flux, bad)
    np.testing.assert_array_equal(filled[~bad], flux[~bad])
    good = np.argwhere(~bad)
    for row, column in np.argwhere(bad):
        distance = np.square(good - (row, column)).sum(axis=1)
        nearest = good[distance == distance.min()]
        assert filled[row, column] in flux[nearest[:, 0], nearest[:, 1]]


def bands(**flux):
    return BandImages({band: np.asarray(values) for band, values in flux.items()})


def reason(images, most_bad=0.1):
    with pytest.raises(ImageError) as caught:
        stack_bands(images, ("g", "r"), most_bad)
    return caught.value.reason, caught.value.message


def test_bad_pixels_are_counted_and_too_many_refused():
    flux = np.arange(400.0).reshape(20, 20)
    holes = flux.copy()
    holes[3, 4:8] = np.nan
    holes[9, 9] = np.inf
    marked = np.zeros((20, 20), bool)
    marked[0, :10] = True
    images = BandImages({"g": holes, "r": flux, "i": flux * np.nan}, {"r": marked})
    stacked, replaced = stack_bands(images, ("r", "g", "r"), 0.1)
    assert replaced == 10 + 5 + 10
    assert stacked.dtype == np.float32
    assert np.isfinite(stacked).all()
    np.testing.assert_array_equal(stacked[0, :10, 0], flux[1, :10])
    assert reason(images, 0.02) == (
        "bad_pixels",
        "2.5% of band 'r' is masked or not a number; at most 2.0% may be",
    )
    nothing = bands(g=flux * np.nan, r=flux)
    assert reason(nothing, 1.0)[0] == "bad_pixels"


def test_what_is_wrong_with_bands_is_told():
    flux = np.zeros((10, 12))
    assert reason(bands(g=flux, z=flux)) == ("missing_band", "there is no band 'r' (there are g, z)")
    assert reason(bands()) == ("missing_band", "there is no band 'g' (there are none)")
    assert reason(bands(g=flux, r=flux[:, :11])) == (
        "bad_shape",
        "band 'r' has 10×11 pixels and band 'g' 10×12; expected all on the same pixels",
    )
    assert reason(bands(g=flux[0], r=flux))[1] == "band 'g' has the shape 12; expected height × width"
    assert reason(bands(g=flux[:5], r=flux[:5]))[0] == "too_small"
    large = np.broadcast_to(np.float32(0), (8193, 8193))
    assert reason(bands(g=large, r=large))[0] == "too_large"
    wrong = BandImages({"g": flux, "r": flux}, {"g": np.zeros((3, 3), bool)})
    assert reason(wrong)[1] == "band 'g' has 10×12 pixels and its mask 3×3"


@pytest.mark.parametrize("kind", ["<f4", ">f4", ">f8", ">i2", "<u2"])
def test_any_byte_order_and_type_comes_out_as_native_float32(kind):
    flux = np.arange(100).reshape(10, 10)
    stacked, _ = stack_bands(bands(g=flux.astype(kind), r=flux.astype(kind)), ("g", "r"), 0)
    assert stacked.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(stacked[..., 0], flux)


def test_bits_of_masks():
    mask = np.array([[0, 1, 2, 4, 6]], np.int32)
    assert mask_bits(mask, ()).tolist() == [[False, True, True, True, True]]
    assert mask_bits(mask, (1,)).tolist() == [[False, False, True, False, True]]
    assert mask_bits(mask, (0, 2), marks_good=True).tolist() == [[True, False, True, False, False]]
    assert mask_bits(mask > 1, (5,)).tolist() == [[False, False, True, True, True]]
    assert mask_bits(np.array([[0.0, np.nan, 2.0]]), (1,)).tolist() == [[False, False, True]]
    assert mask_bits(np.array([[0.0, np.nan]]), ()).tolist() == [[False, True]]
