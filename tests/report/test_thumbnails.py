from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.report.thumbnails import FIELD_SIDE, field_image, thumbnail_side, thumbnail_uri
from tests.support.catalogues import blob, encoded


def pixels(uri: str | None) -> np.ndarray:
    assert uri is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def dot(height: int, width: int, x: int, y: int) -> bytes:
    image = np.zeros((height, width, 3), np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return encoded(image)


def brightest(image: np.ndarray) -> tuple[float, float]:
    """(x, y) of the light's centre."""
    light = image.mean(axis=2)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    return float((light * x).sum() / light.sum()), float((light * y).sum() / light.sum())


def cutout(data: bytes, frame_pixels: float | None, center: tuple[float, float] | None) -> dict[str, object]:
    x, y = center or (None, None)
    return {"image": data, "frame_pixels": frame_pixels, "center_x": x, "center_y": y}


def test_the_frame_is_cut_about_the_galaxy() -> None:
    seen = pixels(thumbnail_uri(cutout(dot(80, 120, x=90, y=30), 40.0, (90.0, 30.0)), 100))
    assert seen.shape == (100, 100, 3)
    assert brightest(seen) == pytest.approx((49.5, 49.5), abs=0.8)


def test_without_a_centre_or_frame_the_whole_image_is_shown() -> None:
    seen = pixels(thumbnail_uri(cutout(dot(80, 80, x=20, y=60), None, None), 160))
    assert brightest(seen) == pytest.approx((40.5, 120.5), abs=1.0)


def test_a_frame_past_the_border_is_black_there_and_not_stretched() -> None:
    white = encoded(np.full((40, 40, 3), 255, np.uint8))
    seen = pixels(thumbnail_uri(cutout(white, 40.0, (0.0, 19.5)), 80)).mean(axis=2)
    assert seen[:, :36].max() < 20
    assert seen[:, 44:].min() > 235


@pytest.mark.parametrize(("frame", "center"), [(20.0, (500.0, 5.0)), (0.0, None), (float("nan"), None)])
def test_a_frame_off_the_image_has_no_picture(frame: float, center: tuple[float, float] | None) -> None:
    assert thumbnail_uri(cutout(encoded(blob()), frame, center), 64) is None


def test_a_huge_frame_costs_no_memory() -> None:
    assert pixels(thumbnail_uri(cutout(encoded(blob()), 1e9, None), 64)).shape == (64, 64, 3)


def test_four_hundred_thumbnails_of_noise_fit_a_page() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (424, 424, 3), np.uint8)
    uri = thumbnail_uri(cutout(encoded(noise), None, None), thumbnail_side(400))
    assert uri is not None
    assert 400 * len(uri) < 5_000_000
    assert thumbnail_side(400) == 128 == thumbnail_side(10_000)
    assert thumbnail_side(1) == 256


def test_a_small_field_is_kept_as_it_is() -> None:
    data = encoded(blob(), "JPEG")
    found = field_image(data)
    assert base64.b64decode(found.uri.partition(",")[2]) == data
    assert (found.width, found.height) == (40, 40)


def test_a_wide_field_is_shrunk_but_keeps_its_own_coordinates() -> None:
    found = field_image(encoded(np.zeros((30, FIELD_SIDE + 500, 3), np.uint8)))
    assert (found.width, found.height) == (FIELD_SIDE + 500, 30)
    assert pixels(found.uri).shape[1] == FIELD_SIDE


def test_a_field_that_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="neither JPEG nor PNG"):
        field_image(b"GIF89a")
