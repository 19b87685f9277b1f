"""Bench feed: from Parquet to answers by the stream's own stages, without Ray, which hands on between them.

The stages are measured each alone and then together: processes that read and check, and two threads that
decode and classify, as a model actor has them.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from jobs.bench.survey import FRAME, encoded_pictures, write_galaxies
from jobs.bench.timing import device, device_name, seconds
from pipeline.averaging import Precision, fastest_precision
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.cutouts import ShardInfo, list_shards
from pipeline.images import ImageError
from pipeline.images.jpeg import PlainJpeg, check_jpeg, plain_jpeg
from pipeline.network import DEFAULT_WEIGHTS, load_networks
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.decoders import CpuDecoder, Decoder, DecoderName, NvjpegDecoder, gpu_decodes
from pipeline.streaming.model import ModelActor
from pipeline.streaming.regions import good_rows, region_parts
from pipeline.streaming.rows import DecodeSettings
from pipeline.tree import GALAXY_ZOO_2, load_tree

_UNITS_AT_ONCE = 2


class FeedBenchConfig(StrictModel):
    """What the bench of the stream's pieces takes.

    Attributes
    ----------
    galaxies
        How many; a multiple of `unit_rows` is best.
    side
        Width of the JPEG frames in pixels.
    decoder
        What decodes where the model is; the GPU's if there is one that can, if not given.
    weights, unit_rows
        As `classify` takes them.
    precision
        Of the network; the one that this machine computes fastest in, if not given.
    checking_processes
        Processes that read and check.
    threads
        That torch uses; its own choice if not given.
    repeats
        Timings of each piece, whose median counts.
    """

    galaxies: int = Field(default=2048, gt=0)
    side: int = Field(default=FRAME, ge=64)
    decoder: DecoderName | None = None
    weights: str = DEFAULT_WEIGHTS
    precision: Precision | None = None
    unit_rows: int = Field(default=1024, gt=0, le=4096)
    checking_processes: int = Field(default=1, gt=0)
    threads: int | None = Field(default=None, gt=0)
    repeats: int = Field(default=3, gt=0)


def run(config: FeedBenchConfig) -> None:
    """Time the stream's pieces and print JSON."""
    say(json.dumps(measure_feed(config), indent=1))


def measure_feed(config: FeedBenchConfig) -> dict[str, Any]:
    """Galaxies a second of each piece, and of more and more of them together."""
    by_gpu = gpu_decodes() if config.decoder is None else config.decoder == "gpu"
    decoder: Decoder = NvjpegDecoder(device()) if by_gpu else CpuDecoder()
    precision = config.precision or fastest_precision(device(), load_networks(config.weights, load_tree()))
    model = ModelActor(
        config.weights,
        str(GALAXY_ZOO_2),
        60,
        precision,
        config.threads or torch.get_num_threads(),
        device(),
        "gpu" if by_gpu else "cpu",
    )
    context = multiprocessing.get_context("spawn")  # a process that uses a GPU can't be forked
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(config.checking_processes, context) as processes,
    ):
        units = _units(list_shards(write_galaxies(Path(folder), config.galaxies, config.side)), config)
        kept = list(processes.map(check, units))
        jpegs = [jpeg for row in kept[0].to_pylist() if (jpeg := plain_jpeg(row["pixels"]))]
        pieces: dict[str, Callable[[], object]] = {
            "reading and checking": lambda: list(processes.map(check, units)),
            "decoding and cutting": lambda: [_decode(batch, decoder) for batch in kept],
            "JPEGs in memory to answers": lambda: _classify(kept, model),
            "Parquet to answers": lambda: _classify(processes.map(check, units), model),
        }
        rates = {name: _rate(piece, config.galaxies, config.repeats) for name, piece in pieces.items()}
        rates["walking compressed data, a core"] = _rate(
            lambda: [check_jpeg(jpeg) for jpeg in jpegs], len(jpegs), config.repeats
        )
        left = sum(_decode(batch, decoder) for batch in kept)
    return {
        "device": device_name(),
        "decoder": "gpu" if by_gpu else "cpu",
        "precision": precision,
        "galaxies": config.galaxies,
        "frame_pixels": config.side,
        "unit_rows": config.unit_rows,
        "checking_processes": config.checking_processes,
        "repeats": config.repeats,
        "galaxies_per_second": rates,
        "left_to_cpu": left,
        "damaged": dict(zip(("noticed_by_cpu", "noticed_by_decoder"), notice_damage(decoder), strict=True)),
    }


def check(unit: WorkUnit) -> pa.Table:
    """What a decode actor makes of a unit whose JPEGs are decoded elsewhere."""
    return decode_unit(unit, settings=DecodeSettings(keep_jpegs=True))


def notice_damage(decoder: Decoder, count: int = 400) -> tuple[int, int]:
    """How many of so many damaged JPEGs the CPU refuses, and how many of these the decoder refuses, too.

    Where it were all, nobody would have to walk through compressed data before.
    """
    chance, good = np.random.default_rng(0), encoded_pictures(8, 128)
    refused = []
    for number in range(count):
        data = bytearray(good[number % len(good)])
        start = data.index(b"\xff\xda") + 14
        for _ in range(1 + number % 4):
            data[chance.integers(start, len(data) - 2)] ^= 1 << int(chance.integers(8))
        jpeg = plain_jpeg(bytes(data))
        if jpeg is not None and _is_refused(jpeg):
            refused.append(np.frombuffer(jpeg.stripped, np.uint8))
    with decoder.at_work():
        return len(refused), sum(decoder.decode([data])[0] is None for data in refused)


def _is_refused(jpeg: PlainJpeg) -> bool:
    try:
        check_jpeg(jpeg)
    except ImageError:
        return True
    return False


def _decode(batch: pa.Table, decoder: Decoder) -> int:
    """Decode a batch and cut out its regions; how many pictures the decoder left to the CPU."""
    parts = [part for rows, side in good_rows(batch) for part in region_parts(batch, rows, side, decoder)]
    return sum(part.left_to_cpu for part in parts)


def _classify(batches: Iterable[pa.Table], model: ModelActor) -> None:
    """Have batches answered by two threads, no more of them waiting than Ray would have wait."""
    waiting = threading.Semaphore(2 * _UNITS_AT_ONCE)
    with ThreadPoolExecutor(_UNITS_AT_ONCE) as threads:
        answers = []
        for batch in batches:
            waiting.acquire()
            answers.append(threads.submit(model, batch))
            answers[-1].add_done_callback(lambda _: waiting.release())
        for answer in answers:
            answer.result()


def _rate(piece: Callable[[], object], galaxies: int, repeats: int) -> float:
    piece()
    return round(galaxies / statistics.median(seconds(piece) for _ in range(repeats)), 1)


def _units(shards: list[ShardInfo], config: FeedBenchConfig) -> list[WorkUnit]:
    bounds = [
        (shard, start, min(start + config.unit_rows, shard.rows))
        for shard in shards
        for start in range(0, shard.rows, config.unit_rows)
    ]
    return [WorkUnit(number, shard.uri, start, stop) for number, (shard, start, stop) in enumerate(bounds)]
