import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import FRAME_PIXELS, reach
from pipeline.images import ImageError, cut_region, region_side

FIELD = np.random.default_rng(3).integers(0, 256, (61, 48, 3), dtype=np.uint8)
ALL = reach(zoom=1 / 1.2)


def padded(image, margin):
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(8, 61),
    width=st.integers(8, 48),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    frame=st.floats(1, 120),
    distance=st.floats(1, 180),
)
def test_a_region_is_the_reflected_image(height, width, x, y, frame, distance):
    image = FIELD[:height, :width]
    center = (x * width - 0.5, y * height - 0.5)
    region = cut_region(image, distance, center, frame)
    side = region_side(frame / FRAME_PIXELS, distance)
    assert region.pixels.shape == (side, side, 3)
    assert region.scale == frame / FRAME_PIXELS
    left, top = round(center[0] - region.center[0]), round(center[1] - region.center[1])
    assert center[0] - region.center[0] == pytest.approx(left, abs=1e-9)
    assert center[1] - region.center[1] == pytest.approx(top, abs=1e-9)
    margin = 2 * side
    expected = padded(image, margin)[top + margin :, left + margin :][:side, :side]
    np.testing.assert_array_equal(region.pixels, expected)


@settings(max_examples=150, deadline=None)
@given(x=st.floats(0, 47), y=st.floats(0, 60), frame=st.floats(1, 300), distance=st.floats(1, 200))
def test_a_region_covers_the_reach_and_not_a_pixel_more_than_needed(x, y, frame, distance):
    region = cut_region(FIELD, distance, (x, y), frame)
    side = region.pixels.shape[0]
    wide = distance * frame / FRAME_PIXELS
    for middle in region.center:
        assert middle - wide >= 0
        assert middle + wide <= side - 1
    assert side <= 2 * wide + 4


@pytest.mark.parametrize("shape", [(424, 424), (423, 423), (424, 400), (211, 424)])
def test_without_centre_and_frame_the_whole_image_is_the_frame(shape):
    image = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    region = cut_region(image, ALL)
    assert region.scale == max(shape) / FRAME_PIXELS
    row, column = (int(middle) for middle in region.center[::-1])
    np.testing.assert_array_equal(
        region.pixels[row, column], image[int((shape[0] - 1) / 2), int((shape[1] - 1) / 2)]
    )
    assert region.center[0] % 1 == (shape[1] - 1) / 2 % 1


def test_the_region_of_a_full_frame_is_a_square_of_the_image_itself():
    image = np.zeros((424, 424, 3), np.uint8)
    region = cut_region(image, ALL)
    assert region.pixels.shape == (region_side(1.0, ALL),) * 2 + (3,)
    assert region.pixels.base is image


def test_a_small_region_keeps_no_large_image():
    image = np.zeros((2000, 2000, 3), np.uint8)
    region = cut_region(image, ALL, frame_pixels=424)
    assert region.pixels.base is not image
    assert region.pixels.flags.c_contiguous


@pytest.mark.parametrize("center", [(-1, 5), (5, -0.6), (48, 5), (5, 61), (np.nan, 5), (np.inf, 5)])
def test_a_centre_outside_is_refused(center):
    with pytest.raises(ImageError, match="outside the 48×61 image") as caught:
        cut_region(FIELD, ALL, center)
    assert caught.value.reason == "bad_center"


@pytest.mark.parametrize("frame", [0, -3, np.nan, np.inf, 1e6])
def test_a_frame_out_of_range_is_refused(frame):
    with pytest.raises(ImageError, match="frame_pixels is") as caught:
        cut_region(FIELD, ALL, None, frame)
    assert caught.value.reason == "bad_frame"
