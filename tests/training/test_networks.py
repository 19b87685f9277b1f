"""The seventeen networks of the paper: each builds, learns and round-trips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.averaging import SharedAverage, naive_average
from pipeline.config import CONFIGS
from pipeline.geometry import averaging_transforms
from pipeline.network import Card, ViewpointSampler, load_network, load_network_spec, save_network
from pipeline.network.spec import DenseSpec
from pipeline.training import initial_network
from pipeline.tree import DecisionTree
from tests.training.small import SPEC, made_galaxies, recipe, trainer, weights

# Weights and a bias for every place (Dieleman, Willett & Dambre 2015, section 7.2).
CONVOLUTIONS = (
    (32 * 3 * 36 + 40**2 * 32)
    + (64 * 32 * 25 + 16**2 * 64)
    + (128 * 64 * 9 + 6**2 * 128)
    + (128 * 128 * 9 + 4**2 * 128)
)
LARGE_FILTERS = (
    (32 * 3 * 64 + 38**2 * 32)
    + (64 * 32 * 16 + 16**2 * 64)
    + (128 * 64 * 9 + 6**2 * 128)
    + (128 * 128 * 9 + 4**2 * 128)
)
ONE_MAXOUT = (8192 + 1) * 4096 + (2048 + 1) * 37
TWO_MAXOUT = ONE_MAXOUT + (2048 + 1) * 4096

PARAMETERS = {
    "maxout2048": CONVOLUTIONS + ONE_MAXOUT,
    "maxout2048_extradense": 42_377_125,
    "maxout2048_extradense_dup3": 42_377_125,
    "maxout2048_extradense_big256": 76_081_061,
    "normconstraint": 42_377_125,
    "bigger": 50_912_165,
    "pysex": 34_060_197,
    "maxout2048_pysex": 33_984_421,
    "maxout2048_extradense_pysex": CONVOLUTIONS + TWO_MAXOUT,
    "maxout2048_extradense_pysexgen1_dup": 42_377_125,
    "maxout2048_extradense_pysexgen1_dup2": 42_377_125,
    "8433n_maxout2048": LARGE_FILTERS + ONE_MAXOUT,
    "8433n_maxout2048_extradense": LARGE_FILTERS + TWO_MAXOUT,
    "8433n_maxout2048_pysex": 33_963_685,
    "8433n_maxout2048_extradense_pysex": 42_356_389,
    "shareddense": 17_469_861,
    "shareddense512": 34_509_733,
}

VARIED = {"pysex", "normconstraint", "shareddense", "8433n_maxout2048_pysex"}
"""Those that have together whatever any of them has."""


def test_they_are_seventeen_files_and_one_ensemble() -> None:
    files = {path.stem for path in (CONFIGS / "networks").glob("*.yaml")}
    assert files - {"compact"} == set(PARAMETERS)
    assert len(PARAMETERS) == 17


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name not in VARIED)) for name in PARAMETERS]
)
def test_it_builds_takes_a_step_and_round_trips(name: str, tree: DecisionTree, tmp_path: Path) -> None:
    spec = load_network_spec(CONFIGS / "networks" / f"{name}.yaml")
    assert spec.name == name
    one = trainer(tree, made_galaxies(tree, 2), recipe(examples=2, batch_size=2), spec)
    network = one.network
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    before = weights(network).clone()
    assert one.step().gradient_norm > 0
    assert float((weights(network) != before).float().mean()) > 0.9
    uri = str(tmp_path / f"{name}.safetensors")
    card = Card(network=spec, tree=tree.name, columns=tree.columns)
    saved = save_network(network, uri, card, torch.float32)
    assert saved.parameters == PARAMETERS[name]
    loaded, read = load_network(uri, tree)
    assert read.network == spec
    assert torch.equal(weights(loaded), weights(network))


def test_a_layer_on_each_viewpoint_is_averaged_as_all_else(tree: DecisionTree) -> None:
    shared = DenseSpec(units=6, weight_std=0.1, dropout=0.5)
    network = initial_network(SPEC.model_copy(update={"viewpoint_dense": shared}), tree, 0).eval()
    for _, regions in made_galaxies(tree, 4).regions.by_side():
        expected = naive_average(network, ViewpointSampler(), regions, averaging_transforms())
        assert float((SharedAverage(network)(regions) - expected).abs().max()) < 1e-5
