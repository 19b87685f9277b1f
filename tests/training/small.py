"""A small network and a handful of made galaxies, on which training takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from pipeline.images import Region
from pipeline.network import NetworkSpec, ViewpointNetwork
from pipeline.network.spec import ConvolutionSpec, DenseSpec, OutputSpec
from pipeline.training import Feed, LabelledGalaxies, Order, Recipe, Trainer, initial_network, stacked
from pipeline.training.augmentation import Augmentation
from pipeline.training.labels import LABELS_FILE
from pipeline.tree import DecisionTree

SPEC = NetworkSpec(
    name="small",
    convolutions=(
        ConvolutionSpec(filters=8, kernel=6, pool=3, weight_std=0.1),
        ConvolutionSpec(filters=8, kernel=3, pool=3, weight_std=0.1),
    ),
    dense=(DenseSpec(units=32, weight_std=0.02, dropout=0.0),),
    output=OutputSpec(dropout=0.0),
)

STILL = Augmentation(rotate=False, translation=0, zoom=1, mirror=False, brightness=0)


def recipe(**changes: object) -> Recipe:
    values = {
        "name": "few steps",
        "examples": 96,
        "batch_size": 8,
        "precision": "float32",
        "augmentation": STILL,
        "held_out": 0.0,
    }
    return Recipe.model_validate(values | changes)


def made_galaxies(tree: DecisionTree, n: int = 16) -> LabelledGalaxies:
    """Galaxies whose first answer can be told by their colour, in images of two sizes."""
    random = np.random.default_rng(3)
    raw = torch.rand(n, tree.answer_count, generator=torch.Generator().manual_seed(3))
    regions = []
    for row in range(n):
        side = 160 if row % 3 else 120
        pixels = random.integers(0, 120, (side, side, 3)).astype(np.uint8)
        if row % 2 == 0:
            pixels[:, :, 0] += 120
        raw[row, 0] = 8.0 if row % 2 == 0 else 0.0
        regions.append(Region(pixels, ((side - 1) / 2, (side - 1) / 2), side / 320))
    votes = ViewpointNetwork(SPEC, tree).output(raw)
    return LabelledGalaxies(tuple(f"g{i}" for i in range(n)), stacked(regions, n), votes, torch.ones(n))


def trainer(
    tree: DecisionTree,
    galaxies: LabelledGalaxies,
    rule: Recipe,
    spec: NetworkSpec = SPEC,
    micro_batch: int | None = None,
    ahead: bool = False,
    compiler: str | None = None,
) -> Trainer:
    order = Order(rule.seed, len(galaxies), rule.batch_size)
    feed = Feed(order, lambda rows, _: galaxies[rows], torch.device("cpu"), micro_batch, ahead)
    return Trainer(initial_network(spec, tree, rule.seed), rule, feed, compiler)


def losses(one: Trainer) -> list[float]:
    """Steps until the recipe is done, and the loss of each."""
    found = []
    while not one.done:
        found.append(one.step().loss)
    return found


def weights(network: ViewpointNetwork) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def write_galaxies(folder: Path, tree: DecisionTree, n: int = 24) -> None:
    """Made galaxies in the Galaxy Challenge's layout."""
    galaxies = made_galaxies(tree, n)
    table = pd.DataFrame(galaxies.votes.numpy().round(6), columns=list(tree.class_columns))
    table.insert(0, "GalaxyID", range(100, 100 + n))
    table["image"] = [f"images/{galaxy}.png" for galaxy in table["GalaxyID"]]
    (folder / "images").mkdir(parents=True)
    for rows, regions in galaxies.regions.by_side():
        for row, pixels in zip(rows.tolist(), regions.pixels.numpy(), strict=True):
            Image.fromarray(pixels).save(folder / table["image"][row])
    table.to_csv(folder / LABELS_FILE, index=False)


def write_training(folder: Path, tree: DecisionTree, **changes: object) -> list[str]:
    """Galaxies, network and recipe on disk; words of the command line that trains on them."""
    write_galaxies(folder / "galaxies", tree)
    rule = recipe(held_out=0.25, **changes)
    for name, model in (("network", SPEC), ("recipe", rule)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(model.model_dump(mode="json")))
    return [
        "train",
        f"data={folder}/galaxies",
        f"network={folder}/network.yaml",
        f"recipe={folder}/recipe.yaml",
        "log_every=16",
    ]


def log_of(output: Path) -> list[dict[str, Any]]:
    """The log of a training, without what depends on the machine's speed."""
    lines = (output / "small.run" / "log.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in _OF_THE_MACHINE}
        for line in lines
    ]


_OF_THE_MACHINE = ("time", "examples_per_second", "waiting_ratio")
