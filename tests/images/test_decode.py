import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pipeline.images import MAX_PIXELS, MIN_SIDE, ImageError, decode_image

BLOCKS = np.kron(
    np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8), np.ones((8, 10, 1), np.uint8)
)


def encode(pixels, file_format, mode=None, **options):
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, format=file_format, **options)
    return stream.getvalue()


JPEG, PNG = encode(BLOCKS, "JPEG", quality=90), encode(BLOCKS, "PNG")


def png_header(width, height):
    """A PNG of the given size as far as its header goes, with hardly any pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def reason(data):
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    assert str(caught.value) == caught.value.message
    assert " object at 0x" not in str(caught.value)
    return caught.value.reason


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(MIN_SIDE, 40), st.integers(MIN_SIDE, 40), st.just(3))))
def test_a_png_comes_back_exactly(pixels):
    np.testing.assert_array_equal(decode_image(encode(pixels, "PNG")), pixels)


def test_a_palette_becomes_its_colours():
    pixels = np.where(BLOCKS > 127, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(encode(pixels, "PNG", "P")), pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_comes_back_nearly(options):
    rows, columns = np.mgrid[0:48, 0:64]
    smooth = np.stack([2 * rows, 3 * columns, rows + columns], axis=-1).astype(np.uint8)
    decoded = decode_image(encode(smooth, "JPEG", quality=98, **options))
    assert decoded.dtype == np.uint8
    assert decoded.shape == smooth.shape
    assert np.abs(decoded.astype(int) - smooth).max() <= 8


def test_the_content_tells_the_type():
    assert reason(b"") == "empty"
    assert reason(b"not an image") == "not_an_image"
    assert reason(b"<html>404</html>") == "not_an_image"
    assert reason(encode(BLOCKS, "GIF")) == "not_an_image"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_jpeg_cut_short_is_never_a_picture(share):
    assert reason(JPEG[: int(share * len(JPEG))]) in {"truncated", "damaged"}


def test_a_jpeg_without_its_last_bytes_is_truncated():
    assert reason(JPEG[:-2]) == "truncated"
    assert reason(JPEG[: len(JPEG) // 2 + 100]) == "truncated"


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.6, 0.9])
def test_a_png_cut_short_is_never_a_picture(share):
    assert reason(PNG[: int(share * len(PNG))]) in {"truncated", "damaged"}


def test_tiny_images_are_refused():
    assert reason(encode(BLOCKS[:1, :1], "PNG")) == "too_small"
    assert reason(encode(BLOCKS[:1, :1], "JPEG")) == "too_small"
    assert reason(encode(BLOCKS[: MIN_SIDE - 1], "PNG")) == "too_small"
    assert decode_image(encode(BLOCKS[:MIN_SIDE, :MIN_SIDE], "PNG")).shape == (MIN_SIDE, MIN_SIDE, 3)


@pytest.mark.parametrize("side", [8193, 12_000, 30_000, 2**31 - 1])
def test_a_huge_png_is_refused_before_it_takes_memory(side):
    tracemalloc.start()
    try:
        assert reason(png_header(side, side)) == "too_large"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert side * side > MAX_PIXELS


def test_a_huge_jpeg_is_refused():
    start = JPEG.index(b"\xff\xc0")
    huge = bytearray(JPEG)
    huge[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    assert reason(bytes(huge)) == "too_large"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_grey_images_are_refused(file_format):
    assert reason(encode(BLOCKS, file_format, "L")) == "grey"


def test_other_bands_than_three_are_refused():
    assert reason(encode(BLOCKS[..., 0].astype(np.uint16) * 200, "PNG")) == "grey"
    assert reason(encode(BLOCKS, "PNG", "1")) == "grey"
    assert reason(encode(BLOCKS, "PNG", "RGBA")) == "alpha"
    assert reason(encode(BLOCKS, "PNG", "LA")) == "alpha"
    assert reason(encode(BLOCKS, "PNG", transparency=(0, 0, 0))) == "alpha"
    assert reason(encode(BLOCKS, "JPEG", "CMYK")) == "cmyk"


def damaged(data, chance):
    """A copy with flipped bits, a cut, or a stretch of noise."""
    changed = bytearray(data)
    kind = chance.randrange(4)
    if kind < 2:
        for _ in range(chance.choice([1, 1, 2, 8])):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del changed[chance.randrange(len(changed)) :]
    else:
        start = chance.randrange(len(changed))
        changed[start : start + chance.randrange(1, 40)] = chance.randbytes(chance.randrange(40))
    return bytes(changed)


@pytest.mark.parametrize(
    "data",
    [JPEG, encode(BLOCKS, "JPEG", progressive=True), PNG, encode(BLOCKS, "PNG", "P")],
    ids=["jpeg", "progressive", "png", "palette"],
)
def test_damage_gives_a_picture_or_an_image_error(data):
    chance = random.Random(1)
    refused = 0
    for _ in range(500):
        try:
            pixels = decode_image(damaged(data, chance))
        except ImageError as error:
            refused += bool(error.reason)
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2:] == (3,)
    assert refused > 200


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=200))
def test_random_bytes_are_refused(start, rest):
    assert reason(start + rest) in {"empty", "not_an_image", "truncated", "damaged"}
