"""A training by the verb, from a folder of JPEGs."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from jobs.bench.survey import encoded_pictures
from pipeline.config import CONFIGS
from pipeline.network import ViewpointNetwork, load_network_spec
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import load_tree

_PICTURES = 64


def train_on_folder(folder: Path, network: str, count: int, batch: int, passes: int) -> dict[str, Any]:
    """Train a network on made galaxies, and say how fast that went once all were in memory.

    Parameters
    ----------
    count
        How many galaxies there are, of which the label table names a JPEG each.
    batch
        Examples of a step.
    passes
        How often each galaxy is shown.
    """
    path = str(CONFIGS / "networks" / f"{network}.yaml")
    write_galaxies(folder, path, count)
    examples = passes * count // batch * batch
    recipe = {"name": "bench", "examples": examples, "batch_size": batch, "average_decay": 0.999}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    started = time.perf_counter()
    train_one(
        TrainConfig(
            data=str(folder),
            labels="labels.csv",
            output=str(folder / "out"),
            network=path,
            recipe=str(folder / "recipe.yaml"),
            held_out=batch,
            log_every=max(count, batch),
        )
    )
    span = time.perf_counter() - started
    (log,) = (folder / "out").glob("*.run/log.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    later = [row for row in rows if "examples_per_second" in row][len(rows) // 4 :]
    return {
        "galaxies": count,
        "examples": examples,
        "seconds": round(span, 1),
        "examples_per_second": statistics.median(row["examples_per_second"] for row in later),
        "waiting_ratio": statistics.median(row["waiting_ratio"] for row in later),
    }


def write_galaxies(folder: Path, network: str, count: int) -> None:
    """Write JPEGs of made galaxies and a label table with votes that some network could give."""
    tree, pictures = load_tree(), encoded_pictures(min(count, _PICTURES))
    for number, picture in enumerate(pictures):
        (folder / f"{number}.jpg").write_bytes(picture)
    votes = ViewpointNetwork(load_network_spec(network), tree).output(torch.rand(count, tree.answer_count))
    table = pd.DataFrame(votes.numpy(), columns=list(tree.columns))
    table.insert(0, "image", [f"{number % len(pictures)}.jpg" for number in range(count)])
    table.insert(0, "object_id", [f"g{number}" for number in range(count)])
    table.to_csv(folder / "labels.csv", index=False)
