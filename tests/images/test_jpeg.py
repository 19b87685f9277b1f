"""JPEGs that are decoded elsewhere: what is taken for plain, and that its damage is seen as before."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.images import MAX_PIXELS, ImageError, decode_image
from pipeline.images.jpeg import BLOCK, PlainJpeg, cells, check_jpeg, plain_jpeg

LUMA = np.array([0.299, 0.587, 0.114])


def noise(height: int, width: int, seed: int = 0, step: int = 8) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (height // step + 1, width // step + 1, 3), np.uint8)
    return np.kron(small, np.ones((step, step, 1), np.uint8))[:height, :width]


def encode(pixels: NDArray[np.uint8], mode: str | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, "JPEG", **options)
    return stream.getvalue()


JPEG = encode(noise(70, 90), quality=90)
RESTARTS = encode(noise(70, 90), quality=90, restart_marker_blocks=3)


def verdict(judge: Any, data: Any) -> tuple[str, str] | None:
    try:
        judge(data)
    except ImageError as error:
        return error.reason, error.message
    return None


def plain(data: bytes) -> PlainJpeg:
    jpeg = plain_jpeg(data)
    assert jpeg is not None
    return jpeg


def brightness(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of the cells of a picture, by its pixels."""
    height, width = pixels.shape[:2]
    blocks = (pixels[: height // BLOCK * BLOCK, : width // BLOCK * BLOCK] @ LUMA).reshape(
        height // BLOCK, BLOCK, width // BLOCK, BLOCK
    )
    means = blocks.mean((1, 3))
    return np.array([[means[a:b, c:d].mean() for c, d in cells(width)] for a, b in cells(height)])


@settings(max_examples=60)
@given(
    height=st.integers(8, 120),
    width=st.integers(8, 120),
    seed=st.integers(0, 100),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from(["444", "422", "420", "440"]),
    step=st.sampled_from([1, 4, 20]),
)
def test_the_stripped_picture_is_the_same_and_its_brightness_known(
    height: int, width: int, seed: int, quality: int, subsampling: str, step: int
) -> None:
    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(noise(height, width, seed, step)), quality, "RGB", subsampling
    )
    jpeg, pixels = plain(data), decode_image(data)
    assert (jpeg.height, jpeg.width) == pixels.shape[:2]
    np.testing.assert_array_equal(decode_image(jpeg.stripped), pixels)
    np.testing.assert_allclose(check_jpeg(jpeg), brightness(pixels), atol=30)


@pytest.mark.parametrize("side", [8, 15, 16, 24, 32, 39, 40, 424])
def test_cells_are_all_of_the_blocks_and_none_is_empty(side: int) -> None:
    blocks = {block for start, stop in cells(side) for block in range(start, stop)}
    assert blocks == set(range(side // BLOCK))
    assert all(start < stop for start, stop in cells(side))


def test_brightness_is_within_a_level_for_pictures_that_are_not_noise() -> None:
    rows, columns = np.mgrid[:424, :424] - 212.0
    light = 250 * np.exp(-np.hypot(rows, 2 * columns) / 30)[..., None] * [1.0, 0.8, 0.5]
    sky = np.random.default_rng(0).normal(3, 4, (424, 424, 3))
    pixels = (light + sky).clip(0, 255).astype(np.uint8)
    for quality in (50, 75, 95):
        data = encode(pixels, quality=quality)
        np.testing.assert_allclose(check_jpeg(plain(data)), brightness(decode_image(data)), atol=0.6)


def test_metadata_are_left_out_and_change_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°, which decoders do or don't
    data = encode(noise(70, 90), quality=90, exif=exif, comment="by hand", dpi=(72, 72))
    jpeg = plain(data + b"what follows")
    assert jpeg.original.endswith(b"what follows")
    assert b"Exif" in jpeg.original
    assert jpeg.stripped == plain(JPEG + b"what follows").stripped
    assert b"Exif" not in jpeg.stripped
    assert b"by hand" not in jpeg.stripped


OTHERS = {
    "progressive": encode(noise(70, 90), progressive=True),
    "grey": encode(noise(70, 90), "L"),
    "CMYK": encode(noise(70, 90), "CMYK"),
    "RGB": encode(noise(70, 90), keep_rgb=True),
    "4:1:1": simplejpeg.encode_jpeg(noise(70, 90), 90, "RGB", "411"),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "FITS": b"SIMPLE  =                    T",
    "empty": b"",
    "start": JPEG[:2],
    "no frame": JPEG[:20] + JPEG[-2:],
    "truncated": JPEG[:-2],
    "half": JPEG[: len(JPEG) // 2],
    "two frames": JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :][:19] + JPEG[2:],
    "12 bit": JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "wide": JPEG.replace(struct.pack(">HH", 70, 90), struct.pack(">HH", 70, 9000)),
    "no rows": JPEG.replace(struct.pack(">HH", 70, 90), struct.pack(">HH", 0, 90)),
    "arithmetic": JPEG.replace(b"\xff\xc0", b"\xff\xc9"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_anything_else_is_left_to_the_usual_way(kind: str) -> None:
    assert plain_jpeg(OTHERS[kind]) is None


def test_a_header_that_claims_too_much_is_refused_as_before() -> None:
    huge = JPEG.replace(struct.pack(">HH", 70, 90), struct.pack(">HH", 8192, 8192))
    assert MAX_PIXELS >= 8192 * 8192
    assert verdict(lambda data: check_jpeg(plain(data)), huge) == verdict(decode_image, huge) is not None
    tiny = JPEG.replace(struct.pack(">HH", 70, 90), struct.pack(">HH", 7, 90))
    found = verdict(lambda data: check_jpeg(plain(data)), tiny)
    assert found is not None
    assert found[0] == "too_small"
    assert found == verdict(decode_image, tiny)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A copy with flipped bits, a stretch of noise, or a piece left out."""
    changed = bytearray(data)
    start = chance.randrange(2, len(changed))
    match chance.randrange(3):
        case 0:
            for _ in range(chance.choice([1, 1, 2, 8])):
                changed[chance.randrange(2, len(changed))] ^= 1 << chance.randrange(8)
        case 1:
            changed[start : start + chance.randrange(1, 40)] = chance.randbytes(chance.randrange(40))
        case 2:
            del changed[start : start + chance.randrange(1, 400)]
    return bytes(changed)


@pytest.mark.parametrize("data", [JPEG, RESTARTS], ids=["plain", "restarts"])
def test_damage_is_found_as_by_decoding_it_all(data: bytes) -> None:
    """Nothing that passes has other dimensions or another verdict than the decoder's; some do pass."""
    chance = random.Random(3)
    sound = refused = 0
    for _ in range(3000):
        candidate = damaged(data, chance) + chance.randbytes(chance.choice([0, 0, 1, 4, 60]))
        jpeg = plain_jpeg(candidate)
        if jpeg is None:
            continue
        found = verdict(check_jpeg, jpeg)
        assert found == verdict(decode_image, candidate)
        if found is None:
            assert verdict(decode_image, jpeg.stripped) is None
            assert decode_image(jpeg.stripped).shape == (jpeg.height, jpeg.width, 3)
            np.testing.assert_array_equal(decode_image(jpeg.stripped), decode_image(candidate))
        sound += found is None
        refused += found is not None
    assert sound > 100
    assert refused > 500


@settings(max_examples=300)
@given(st.sampled_from([b"", JPEG[:2], JPEG[:180], JPEG[: JPEG.index(b"\xff\xda") + 14]]), st.binary())
def test_fuzzed_bytes_give_a_jpeg_an_image_error_or_nothing(start: bytes, rest: bytes) -> None:
    for data in (start + rest, start + rest + b"\xff\xd9"):
        jpeg = plain_jpeg(data)
        if jpeg is not None:
            assert verdict(check_jpeg, jpeg) == verdict(decode_image, data)
