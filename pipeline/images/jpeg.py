"""JPEGs that are decoded elsewhere: checked here without their pixels, and stripped to what a decoder needs.

A picture is *plain* if any decoder takes it, those of GPUs too: baseline, 8 bits, three components in one
scan, usual sampling. Its damage shows in its compressed data, which libjpeg-turbo walks through at an eighth
of the width and height in 0.4 of the time that decoding it takes, and complains of in the same words.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import check_jpeg_header, decode_jpeg

BLOCK = 8
"""Width in pixels of the squares that a JPEG is made of; the mean of each is decoded before all else."""

CELLS = 4
"""How many cells a side is divided into, of each of which it is known how bright it is."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_FRAME, _HUFFMAN, _SCAN, _QUANTIZATION, _INTERVAL = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD
_NEEDED = (_FRAME, _HUFFMAN, _QUANTIZATION, _INTERVAL)
_METADATA = (*range(0xE0, 0xF0), 0xFE)
_ADOBE, _YCBCR = 0xEE, 1
_TABLE, _TWO_BYTES = 65, 0x10
"""Bytes of a quantization table and its number; a number from there on says that its values are wider."""

_MOST_SIDE = 8192
"""Wider pictures are left to the CPU: engines of GPUs have limits that differ."""

_SAMPLINGS = (b"\x11\x11\x11", b"\x21\x11\x11", b"\x22\x11\x11", b"\x12\x11\x11")
"""Horizontal and vertical sampling of each component: 4:4:4, 4:2:2, 4:2:0, 4:4:0."""

_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")


@dataclass(frozen=True)
class PlainJpeg:
    """A plain JPEG.

    Attributes
    ----------
    original
        The file.
    stripped
        The same picture without metadata, thumbnails and Exif's orientation. What follows its end stays:
        libjpeg's verdict on a damaged last stretch depends on how many bytes come after it.
    width, height
        In pixels.
    """

    original: bytes
    stripped: bytes
    width: int
    height: int


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """The parts of a plain JPEG; None for anything else, damaged or not, which `decode_image` judges."""
    if not data.startswith(_SOI):
        return None
    kept, position, size = [_SOI], 2, None
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        kind = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        content = data[position + 4 : end]
        if not position + 4 <= end <= len(data):
            return None
        if kind == _SCAN:
            if size is None or not _ends(data, end) or not _is_whole_scan(content):
                return None
            return PlainJpeg(data, b"".join([*kept, data[position:]]), *size)
        if kind == _FRAME:
            if size is not None or (size := _plain_size(content)) is None:
                return None
        elif not _is_harmless(kind, content):
            return None
        if kind in _NEEDED:
            kept.append(data[position:end])
        position = end
    return None


def check_jpeg(jpeg: PlainJpeg) -> NDArray[np.float32]:
    """Check that a plain JPEG can be decoded, as `decode_image` would.

    Returns
    -------
    ndarray, shape (4, 4)
        Brightness of its cells, by which it is seen whether another decoder made the same picture of it
        (see `cells`).

    Raises
    ------
    ImageError
        With the reason and the message of `decode_image`.
    """
    check_jpeg_header(jpeg.original)
    blocks = decode_jpeg(jpeg.original, "GRAY", BLOCK)[: jpeg.height // BLOCK, : jpeg.width // BLOCK, 0]
    down, across = cells(jpeg.height), cells(jpeg.width)
    stripes = np.add.reduceat(blocks.astype(np.float32), down[:, 0], axis=0)
    sums = np.add.reduceat(stripes, across[:, 0], axis=1)
    brightness: NDArray[np.float32] = (sums / cell_sizes(down, across)).astype(np.float32)
    return brightness


@functools.lru_cache(maxsize=256)
def cells(pixels: int) -> NDArray[np.int64]:
    """Where the cells along a side of a picture begin and end, in whole blocks; few blocks are in several.

    Returns
    -------
    ndarray, shape (4, 2)
    """
    count = pixels // BLOCK
    starts = np.arange(CELLS) * count // CELLS
    return np.stack([starts, np.maximum(starts + 1, np.append(starts[1:], count))], axis=1)


def cell_sizes(down: NDArray[np.int64], across: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many blocks each cell has, (4, 4)."""
    return (down[:, 1:] - down[:, :1]) * (across[:, 1] - across[:, 0])


def _plain_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height by a frame's header; None if it isn't plain."""
    if len(frame) != 15 or frame[0] != 8 or frame[5] != 3:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    plain = frame[6::3] == b"\x01\x02\x03" and frame[7::3] in _SAMPLINGS
    return (width, height) if plain and 0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE else None


def _is_whole_scan(scan: bytes) -> bool:
    """Whether a scan is of all three components, and of all their coefficients."""
    return len(scan) == 10 and scan[0] == 3 and scan[1:7:2] == b"\x01\x02\x03" and scan[7:] == b"\x00\x3f\x00"


def _is_harmless(kind: int, content: bytes) -> bool:
    """Whether a segment is of a kind that plain JPEGs have, and metadata leave the colours as they are."""
    if kind == _ADOBE and content.startswith(b"Adobe"):
        return len(content) >= 12 and content[11] == _YCBCR
    if kind == _QUANTIZATION:
        return len(content) % _TABLE == 0 and max(content[::_TABLE], default=_TWO_BYTES) < _TWO_BYTES
    return kind in (_HUFFMAN, _INTERVAL, *_METADATA)


def _ends(data: bytes, start: int) -> bool:
    """Whether the end of the image follows the compressed data."""
    end = _END_OF_SCAN.search(data, start)
    return end is not None and end.group() == _EOI
