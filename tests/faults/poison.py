"""Cutout sets with poison in them, a tiny network, and a run of the stream over both."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.network import Card, NetworkSpec, ViewpointNetwork, save_network
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming import StreamResources, StreamSettings, stream_units
from pipeline.streaming.decode import DecodeActor
from pipeline.streaming.limits import DecodeLimits
from pipeline.tree import GALAXY_ZOO_2, load_tree
from tests.faults.bad_decoder import fault_image, put_bugs_in

TREE = load_tree()
LIMITS = DecodeLimits(row_seconds=1.0, memory_bytes=256 << 20)
RESOURCES = StreamResources(1, 0.5, 1, 0.5, 0.0, 1, 1 << 29)
REASONS = {
    "segv": "killed_decoder",
    "abort": "killed_decoder",
    "exit": "killed_decoder",
    "oom": "out_of_memory",
    "spin": "decode_timeout",
}
_SPEC = NetworkSpec.model_validate(
    {
        "name": "tiny",
        "convolutions": [{"filters": 4, "kernel": 6, "pool": 4}, {"filters": 6, "kernel": 3, "pool": 4}],
        "dense": [{"units": 8}],
    }
)


def galaxy(seed: int, size: int = 40) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]], row_group_size: int = 5) -> str:
    """A shard of these rows."""
    pq.write_table(
        pa.Table.from_pylist(list(rows), schema=CUTOUT_SCHEMA), path, row_group_size=row_group_size
    )
    return str(path)


def poisoned_shard(path: Path, rows: int, poison: Mapping[int, str]) -> str:
    """A shard of good galaxies named after their rows, but for the rows in `poison`, whose kind it gives."""
    return write_shard(
        path,
        [
            {
                "object_id": f"{path.stem}-{row}",
                "image": fault_image(poison[row]) if row in poison else galaxy(row % 7),
            }
            for row in range(rows)
        ],
    )


def units_of(shards: Mapping[str, int], size: int) -> list[WorkUnit]:
    """Units of `size` rows over shards, given their numbers of rows."""
    ranges = [
        (shard, start, min(start + size, rows))
        for shard, rows in shards.items()
        for start in range(0, rows, size)
    ]
    return [WorkUnit(index, *where) for index, where in enumerate(ranges)]


def tiny_weights(folder: Path) -> str:
    """A random network's weight file."""
    torch.manual_seed(3)
    uri = str(folder / "tiny.safetensors")
    card = Card(network=_SPEC, tree=TREE.name, columns=TREE.columns)
    save_network(ViewpointNetwork(_SPEC, TREE), uri, card, torch.float32)
    return uri


class BadDecodeActor(DecodeActor):
    """The decode stage, with bugs in the decoder."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        put_bugs_in()
        super().__init__(*arguments, **named)


@dataclass(frozen=True)
class Result:
    """What a run left: ids of the catalogue's rows, and (shard, row) → quarantined row."""

    classified: list[str]
    quarantined: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def reasons(self) -> dict[int, str]:
        """Row → reason, where there is one shard."""
        return {row: found["reason"] for (_, row), found in self.quarantined.items()}


def run_stream(
    units: Sequence[WorkUnit],
    output: Path,
    weights: str,
    limits: DecodeLimits = LIMITS,
    resources: StreamResources = RESOURCES,
) -> Result:
    """Stream units through Ray, and read back what became of every row."""
    layout = RunLayout(str(output), "run")
    settings = StreamSettings(weights, "w" * 64, str(GALAXY_ZOO_2), 1, "float32")
    done = list(stream_units(units, layout, settings, resources, limits))
    assert sorted(unit.unit for unit in done) == [unit.index for unit in units]
    return read_result(layout)


def read_result(layout: RunLayout) -> Result:
    """What the ledger of a run says, with its files."""
    entries = read_ledger(layout).values()

    def rows(name: str) -> list[dict[str, Any]]:
        stored = [getattr(entry, name) for entry in entries]
        tables = [pq.read_table(f"{layout.parts}/{file.name}").to_pylist() for file in stored if file]
        return list(itertools.chain.from_iterable(tables))

    rejects = rows("rejects")
    quarantined = {(row["shard"], row["row"]): row for row in rejects}
    assert len(quarantined) == len(rejects)
    return Result([row["object_id"] for row in rows("part")], quarantined)
