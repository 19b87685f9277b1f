"""A made cutout set to measure on."""

from __future__ import annotations

from pathlib import Path

import simplejpeg

from jobs.bench.timing import pictures
from pipeline.cutouts import ShardWriter

_PICTURES = 64
"""How many pictures differ; they are repeated under other names."""

FRAME = 424


def encoded_pictures(count: int, side: int = FRAME) -> list[bytes]:
    """Made galaxies (see `pictures`) as JPEGs."""
    return [
        simplejpeg.encode_jpeg(picture.numpy(), quality=90, colorspace="RGB", colorsubsampling="420")
        for picture in pictures(count, side)
    ]


def write_galaxies(folder: Path, count: int, side: int = FRAME) -> str:
    """Write JPEG cutouts as shards; the set's URI."""
    images = encoded_pictures(min(count, _PICTURES), side)
    writer = ShardWriter(str(folder), name="bench", source="made for measuring", criteria={})
    for number in range(count):
        writer.write({"object_id": f"g{number:08d}", "image": images[number % len(images)]})
    writer.finish()
    return str(folder)
