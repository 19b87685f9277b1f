"""Encoded image bytes to an RGB array; a bad image becomes one `ImageError` that says what is wrong."""

from __future__ import annotations

import io
import warnings
import zlib

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 1 << 26
"""Images of more pixels than this are refused before they are decoded (8192 × 8192)."""

MAX_FILE_BYTES = 256 << 20
"""No cutout is larger; a larger file is a mistake that would fill the memory of whatever reads it."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Endings of file names by which pictures are known."""

MIN_SIDE = 8
"""Images narrower than this, in pixels, can't show a galaxy's shape."""


class ImageError(ValueError):
    """An image that can't be classified.

    Attributes
    ----------
    reason
        A short code to count by, such as ``truncated``; the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG.

    Parameters
    ----------
    data
        The content of the file; its type is told by the content, not by any name.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8

    Raises
    ------
    ImageError
        With reason ``empty``, ``not_an_image``, ``truncated``, ``damaged``, ``too_small``, ``too_large``,
        ``grey``, ``cmyk`` or ``alpha``.
    """
    if not data:
        raise ImageError("empty", "the image has no bytes")
    if data.startswith(b"\xff\xd8\xff"):
        check_jpeg_header(data)
        return decode_jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _decode_png(data)
    raise ImageError("not_an_image", f"neither JPEG nor PNG: the content starts with {data[:12]!r}")


def check_size(width: int, height: int) -> None:
    """Check that an image is neither too narrow nor too large.

    Raises
    ------
    ImageError
        With reason ``too_small`` or ``too_large``.
    """
    if min(width, height) < MIN_SIDE:
        raise ImageError("too_small", f"{width}×{height} pixels; at least {MIN_SIDE}×{MIN_SIDE} are needed")
    if width * height > MAX_PIXELS:
        raise ImageError(
            "too_large", f"{width}×{height} pixels; at most {MAX_PIXELS} in all: cut the galaxy out first"
        )


def check_bands(image: Image.Image) -> None:
    """Check that a Pillow image is in colours from which RGB is made without loss.

    Raises
    ------
    ImageError
        With reason ``grey``, ``cmyk`` or ``alpha``.
    """
    _check_mode("RGBA" if "transparency" in image.info else image.mode)


def _check_mode(mode: str) -> None:
    if mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        raise ImageError(
            "alpha", f"the image has an alpha channel (mode {mode}); expected RGB: flatten it first"
        )
    if mode == "CMYK":
        raise ImageError("cmyk", "the image is in printing colours (CMYK); expected RGB: convert it first")
    if mode not in {"RGB", "P"}:
        raise ImageError("grey", f"the image has one band (mode {mode}); expected three: red, green, blue")


def check_jpeg_header(data: bytes) -> None:
    """Check that a JPEG's header can be read, and that its size and colours are those of a galaxy's picture.

    Raises
    ------
    ImageError
        With reason ``damaged``, ``too_small``, ``too_large``, ``grey`` or ``cmyk``.
    """
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise ImageError("damaged", f"the JPEG header can't be read: {error}") from error
    check_size(width, height)
    if colors.lower() == "gray":
        _check_mode("L")
    if colors.lower() in {"cmyk", "ycck"}:
        _check_mode("CMYK")


def decode_jpeg(data: bytes, colors: str = "RGB", shrink: int = 1) -> NDArray[np.uint8]:
    """Decode a JPEG whose header is sound.

    Parameters
    ----------
    colors
        ``RGB`` or ``GRAY``.
    shrink
        1, or 8 for the mean of each block of 8 × 8 pixels alone: no less is found wrong with it.

    Returns
    -------
    ndarray, shape (height, width, bands), uint8

    Raises
    ------
    ImageError
        With reason ``truncated`` or ``damaged``.
    """
    scaled = {} if shrink == 1 else {"min_height": 1, "min_width": 1, "min_factor": shrink}
    try:
        pixels = simplejpeg.decode_jpeg(data, colorspace=colors, strict=True, **scaled)
    except ValueError as error:
        reason = "truncated" if "premature end" in str(error).lower() else "damaged"
        raise ImageError(reason, f"the JPEG can't be decoded: {error}") from error
    return np.asarray(pixels, dtype=np.uint8)


def _check_png(data: bytes) -> None:
    """Walk the chunks: the decoder itself passes over checksums, and over what follows the last pixel."""
    position, kinds = 8, set()
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise ImageError("truncated", f"the PNG ends inside its {kind!r} chunk, at byte {len(data)}")
        stored = int.from_bytes(data[end - 4 : end], "big")
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stored:
            raise ImageError(
                "damaged", f"the checksum of the PNG's {kind!r} chunk at byte {position} is wrong"
            )
        kinds.add(kind)
        if kind == b"IEND":
            break
        position = end
    for kind in (b"IHDR", b"IDAT", b"IEND"):
        if kind not in kinds:
            raise ImageError("truncated", f"the PNG has no {kind.decode()} chunk")


def _decode_png(data: bytes) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG"])
        check_size(image.width, image.height)
        check_bands(image)
        _check_png(data)
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:  # its own message names an address in memory
        raise ImageError("damaged", "the PNG header can't be read") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too_large", f"too many pixels: {error}; cut the galaxy out first") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise ImageError(reason, f"the PNG can't be decoded: {error}") from error
