"""A shard with pictures of every kind, sound and not."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image

from pipeline.cutouts import CUTOUT_SCHEMA
from tests.support.galaxies import galaxy, png

SIDE = 150


def jpeg(seed: int, subsampling: str = "420", side: int = SIDE) -> bytes:
    """A baseline JPEG of a galaxy."""
    return bytes(simplejpeg.encode_jpeg(galaxy(seed, side), 90, "RGB", subsampling))


def saved(seed: int, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of another kind."""
    stream = io.BytesIO()
    Image.fromarray(galaxy(seed, SIDE)).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def broken(data: bytes) -> bytes:
    """A JPEG with a stretch in the middle of its compressed data twice."""
    start = data.index(b"\xff\xda") + 14
    middle = (start + len(data)) // 2
    return data[: middle + 200] + data[middle:]


def huge(data: bytes) -> bytes:
    """A JPEG whose header claims 60,000 × 60,000 pixels."""
    return data.replace(struct.pack(">HH", SIDE, SIDE), struct.pack(">HH", 60_000, 60_000))


def write_every_kind(folder: Path) -> str:
    """Write a shard of every kind of row; its path."""
    turned = Image.Exif()
    turned[0x0112] = 6
    rows: list[dict[str, Any]] = [
        {"image": jpeg(0)},
        {"image": jpeg(1, "444")},
        {"image": jpeg(2, "422"), "center_x": 3.2, "center_y": 140.7},
        {"image": saved(3, progressive=True)},
        {"image": saved(4, "L")},
        {"image": saved(5, "CMYK")},
        {"image": png(galaxy(6, SIDE))},
        {"image": jpeg(7)[:-400]},
        {"image": jpeg(8)[:-2]},
        {"image": broken(jpeg(9))},
        {"image": huge(jpeg(10))},
        {"image": b""},
        {"image": None},
        {"image": jpeg(13), "frame_pixels": 60.0},
        {"image": jpeg(14, side=200), "frame_pixels": float(SIDE)},
        {"image": saved(15, exif=turned, comment="turned") + b"and more"},
        {"image": jpeg(16), "center_x": 500.0, "center_y": 0.0},
        {"image": jpeg(17), "frame_pixels": 1e9},
        {"image": jpeg(18), "object_id": ""},
        {"image": jpeg(19, side=64)},
        {"image": saved(20, keep_rgb=True)},
        {"image": b"no picture"},
        {"image": jpeg(22)},
    ]
    named = [{"object_id": f"g{number}", "ra": 1.0 * number, **row} for number, row in enumerate(rows)]
    path = folder / "every_kind.parquet"
    pq.write_table(pa.Table.from_pylist(named, schema=CUTOUT_SCHEMA), path, row_group_size=8)
    return str(path)
