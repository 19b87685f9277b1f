"""Pictures small enough to be part of a page, as data URIs."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from pipeline.errors import InputError
from pipeline.images import ImageError, decode_image

FIELD_SIDE = 2000
"""The larger side of the field on the page, at most, in pixels."""

FIELD_BYTES = 600_000
"""A field of more bytes is encoded again as JPEG."""

Form = Literal["WEBP", "JPEG"]
_QUALITY = {"WEBP": 84, "JPEG": 92}


@dataclass(frozen=True)
class FieldImage:
    """The field as a data URI, and its size in the pixels that positions refer to."""

    uri: str
    width: int
    height: int


def thumbnail_side(count: int) -> int:
    """Width of a thumbnail in pixels: 128, more where few share the page's bytes, at most 256."""
    return int(min(256.0, 128.0 * max(1.0, math.sqrt(400 / max(count, 1)))))


def thumbnail(cutout: Mapping[str, Any] | None, side: int, form: Form = "WEBP") -> bytes | None:
    """The frame of a galaxy; see `thumbnail_bytes`.

    Parameters
    ----------
    cutout
        A row of `pipeline.cutouts.table.CUTOUT_SCHEMA`; None if there is none.
    """
    if cutout is None or not isinstance(cutout["image"], bytes):
        return None
    x, y = cutout["center_x"], cutout["center_y"]
    center = None if x is None or y is None else (x, y)
    return thumbnail_bytes(cutout["image"], cutout["frame_pixels"], center, side, form)


def thumbnail_uri(cutout: Mapping[str, Any] | None, side: int) -> str | None:
    """The frame of a galaxy as a WebP data URI; None where `thumbnail` gives none."""
    picture = thumbnail(cutout, side)
    return None if picture is None else _data_uri(picture, "image/webp")


def thumbnail_bytes(
    data: bytes,
    frame_pixels: float | None,
    center: tuple[float, float] | None,
    side: int,
    form: Form = "WEBP",
) -> bytes | None:
    """The galaxy's frame, resampled once to a square.

    Parameters
    ----------
    data
        JPEG or PNG.
    frame_pixels
        Image pixels that the frame covers; the image's larger side if None.
    center
        (x, y) of the galaxy in the image, the first pixel's centre being (0, 0); the middle if None.
    side
        Width of the result in pixels.
    form
        JPEG where others than browsers look at it.

    Returns
    -------
    bytes or None
        An image of that form, black where the frame passes the image's border; None if it can't be decoded
        or the frame lies outside it.
    """
    try:
        image = Image.fromarray(decode_image(data))
    except ImageError:
        return None
    frame = float(max(image.size) if frame_pixels is None else frame_pixels)
    x, y = center if center is not None else ((image.width - 1) / 2, (image.height - 1) / 2)
    if not (frame > 0 and all(map(math.isfinite, (frame, x, y)))):
        return None
    left, top = x + 0.5 - frame / 2, y + 0.5 - frame / 2
    box = (
        max(left, 0.0),
        max(top, 0.0),
        min(left + frame, float(image.width)),
        min(top + frame, float(image.height)),
    )
    if box[2] <= box[0] or box[3] <= box[1]:
        return None
    scale = side / frame
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    seen = image.resize(size, Image.Resampling.LANCZOS, box=box)
    if size != (side, side):
        canvas = Image.new("RGB", (side, side))
        canvas.paste(seen, (round((box[0] - left) * scale), round((box[1] - top) * scale)))
        seen = canvas
    return _encoded(seen, form, _QUALITY[form])


def field_image(data: bytes) -> FieldImage:
    """The field for the page: as it is where it is small, else as a JPEG of bounded size.

    Raises
    ------
    InputError
        If it isn't a JPEG or PNG that can be decoded.
    """
    try:
        image = Image.fromarray(decode_image(data))
    except ImageError as error:
        raise InputError(f"the field image can't be shown: {error}") from error
    width, height = image.size
    if len(data) <= FIELD_BYTES and max(width, height) <= FIELD_SIDE:
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        return FieldImage(_data_uri(data, kind), width, height)
    image.thumbnail((FIELD_SIDE, FIELD_SIDE), Image.Resampling.LANCZOS)
    return FieldImage(_data_uri(_encoded(image, "JPEG", 88), "image/jpeg"), width, height)


def _encoded(image: Image.Image, form: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=quality)
    return buffer.getvalue()


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
