"""Pixels → the bytes of a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def encode_png(pixels: NDArray[np.uint8], effort: int = 6, texts: Mapping[str, str] | None = None) -> bytes:
    """Pixels, shape (height, width, 3), as a PNG.

    Parameters
    ----------
    effort
        Of zlib, 0 to 9: a lower one is faster, and makes more bytes of the same pixels.
    texts
        What the file says of the picture, by keyword, such as Description (PNG, section 11.3.3).
    """
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_itxt(keyword, text)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        stream, format="PNG", compress_level=effort, pnginfo=info
    )
    return stream.getvalue()
