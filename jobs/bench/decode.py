"""Bench decode: a unit of JPEG cutouts to regions, on one core. Needs no Ray."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pydantic import Field

from jobs.bench.survey import FRAME, write_galaxies
from jobs.bench.timing import interleaved
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.cutouts import list_shards
from pipeline.images import decode_image
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.rows import read_patiently
from pipeline.survey import open_source


class DecodeBenchConfig(StrictModel):
    """What `tuningfork bench decode` takes.

    Attributes
    ----------
    galaxies
        How many galaxies the work unit has.
    side
        Width of the JPEG frames in pixels.
    repeats
        How many timings are made; their median counts.
    """

    galaxies: int = Field(default=256, gt=0, le=1000)
    side: int = Field(default=FRAME, ge=64)
    repeats: int = Field(default=5, gt=0)


def run(config: DecodeBenchConfig) -> None:
    """Time reading, reading and JPEG decoding, the whole unit, and it with its JPEGs checked only."""
    with tempfile.TemporaryDirectory() as folder:
        (shard,) = list_shards(write_galaxies(Path(folder), config.galaxies, config.side))
        unit = WorkUnit(0, shard.uri, 0, config.galaxies)

        def read() -> list[bytes]:
            images: list[bytes] = (
                read_patiently(open_source(), unit.shard, 0, unit.stop).table["image"].to_pylist()
            )
            return images

        times = interleaved(
            {
                "read": read,
                "jpeg": lambda: [decode_image(image) for image in read()],
                "unit": lambda: decode_unit(unit),
                "kept": lambda: decode_unit(unit, keep_jpegs=True),
            },
            config.repeats,
        )
    result = {
        "galaxies": config.galaxies,
        "frame_pixels": config.side,
        "bytes_each": round(shard.size / config.galaxies),
        "repeats": config.repeats,
        "galaxies_per_second_a_core": round(config.galaxies / times["unit"], 1),
        "checked_galaxies_per_second_a_core": round(config.galaxies / times["kept"], 1),
        "checking_to_decoding_ratio": round(times["unit"] / times["kept"], 2),
        "milliseconds_each": round(times["unit"] / config.galaxies * 1e3, 4),
        "bare_jpeg_ratio": round((times["jpeg"] - times["read"]) / times["unit"], 3),
        "stage_shares": {
            "reading": round(times["read"] / times["unit"], 3),
            "JPEG": round((times["jpeg"] - times["read"]) / times["unit"], 3),
            "regions and gathering": round(1 - times["jpeg"] / times["unit"], 3),
        },
    }
    say(json.dumps(result, indent=1))
