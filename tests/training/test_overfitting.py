"""Each kind of network can learn a few galaxies by heart: nothing stands between the loss and the weights."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from jobs.bench.timing import galaxies as disk_regions
from pipeline.config import CONFIGS
from pipeline.network import NetworkSpec, load_network_spec
from pipeline.training import LabelledGalaxies, Regions, evaluate
from pipeline.tree import DecisionTree
from tests.training.small import losses, made_galaxies, recipe, trainer

UNITS = 128
"""In place of 2048 and more, which would take an hour here."""


def narrow(name: str) -> NetworkSpec:
    """A network of the paper with few dense units, and without dropout."""
    spec = load_network_spec(CONFIGS / "networks" / f"{name}.yaml")
    still = {"dropout": 0.0}
    shared = spec.viewpoint_dense
    return spec.model_copy(
        update={
            "dense": tuple(layer.model_copy(update=still | {"units": UNITS}) for layer in spec.dense),
            "viewpoint_dense": None if shared is None else shared.model_copy(update=still | {"units": 32}),
            "output": spec.output.model_copy(update=still),
        }
    )


def disks(tree: DecisionTree, n: int) -> LabelledGalaxies:
    """Disks of many sizes, inclinations and colours, with votes that have nothing to do with these."""
    rows = torch.arange(n)
    regions = Regions((disk_regions(n),), torch.zeros_like(rows), rows)
    return dataclasses.replace(made_galaxies(tree, n), regions=regions)


@pytest.mark.long
@pytest.mark.parametrize("name", ["maxout2048_extradense", "8433n_maxout2048", "shareddense"])
def test_thirty_two_galaxies_are_learnt_by_heart(name: str, tree: DecisionTree) -> None:
    torch.set_num_threads(2)
    galaxies = disks(tree, 32)
    rule = recipe(
        examples=32 * 240,
        batch_size=32,
        precision="bfloat16",
        optimizer={"kind": "adamw", "weight_decay": 0.0},
        schedule={"kind": "one_cycle", "highest": 0.002, "warm_up": 0.2},
    )
    one = trainer(tree, galaxies, rule, narrow(name))
    losses(one)
    assert evaluate(one.result(), galaxies)["rmse"] < 0.02
