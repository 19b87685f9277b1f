"""Pixels → the bytes of a picture."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode_png(pixels: NDArray[np.uint8], effort: int = 6) -> bytes:
    """Pixels, shape (height, width, 3), as a PNG.

    Parameters
    ----------
    effort
        Of zlib, 0 to 9: a lower one is faster, and makes more bytes of the same pixels.
    """
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", compress_level=effort)
    return stream.getvalue()
