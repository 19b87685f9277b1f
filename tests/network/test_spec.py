"""Network specifications: sizes, parameter counts, initial weights, and files with mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.config import CONFIGS
from pipeline.errors import InputError
from pipeline.network import NetworkSpec, ViewpointNetwork, load_network_spec
from pipeline.tree import DecisionTree

BEST = CONFIGS / "networks" / "maxout2048_extradense.yaml"
COMPACT = CONFIGS / "networks" / "compact.yaml"

COMPACT_PARAMETERS = (
    (6 * 6 * 3 * 32 + 40 * 40 * 32)
    + (5 * 5 * 32 * 64 + 16 * 16 * 64)
    + (3 * 3 * 64 * 128 + 6 * 6 * 128)
    + (3 * 3 * 128 * 128 + 4 * 4 * 128)
    + (8192 * 512 + 512)
    + (256 * 512 + 512)
    + (256 * 37 + 37)
)


def parameters(path: Path, tree: DecisionTree) -> int:
    with torch.device("meta"):
        network = ViewpointNetwork(load_network_spec(path), tree)
    return sum(p.numel() for p in network.parameters())


def test_parameters_of_the_best_network(tree: DecisionTree) -> None:
    assert parameters(BEST, tree) == 42_377_125


def test_parameters_of_the_compact_network(tree: DecisionTree) -> None:
    assert parameters(COMPACT, tree) == COMPACT_PARAMETERS == 4_685_989


def test_map_sizes_and_features() -> None:
    spec = load_network_spec(BEST)
    assert spec.map_sizes() == [20, 8, 6, 2]
    assert (spec.viewpoint_features, spec.features) == (512, 8192)


def test_initial_weights_of_the_compact_network(tree: DecisionTree) -> None:
    network = ViewpointNetwork(load_network_spec(COMPACT), tree)
    layers = [*network.convolutions, *(layer.linear for layer in network.dense_layers), network.last]
    spreads = [0.01, 0.01, 0.01, 0.1, 0.001, 0.001, 0.01]
    biases = [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.1]
    for layer, spread, bias in zip(layers, spreads, biases, strict=True):
        n = layer.weight.numel()
        assert float(layer.weight.detach().double().std()) == pytest.approx(spread, rel=5 / math.sqrt(2 * n))
        assert abs(float(layer.weight.detach().double().mean())) < 5 * spread / math.sqrt(n)
        assert torch.equal(layer.bias, torch.full_like(layer.bias, bias))


def test_the_best_network_starts_like_the_compact_one() -> None:
    best, compact = load_network_spec(BEST), load_network_spec(COMPACT)
    assert best.convolutions == compact.convolutions
    assert [layer.units for layer in best.dense] == [2048, 2048]
    assert [layer.model_copy(update={"units": 256}) for layer in best.dense] == list(compact.dense)
    assert best.output == compact.output
    assert {layer.dropout for layer in best.dense} | {best.output.dropout} == {0.5}


MISTAKES: dict[str, dict[str, Any]] = {
    "convolutions.0.kernel=0": {"convolutions": [{"filters": 8, "kernel": 0}]},
    "'convolutions.0.kernel' is missing": {"convolutions": [{"filters": 8}]},
    "unknown key 'convolutions.0.kernal'; did you mean 'kernel'?": {
        "convolutions": [{"filters": 8, "kernel": 3, "kernal": 4}]
    },
    "dense.0.activation='tanh'": {"dense": [{"units": 8, "activation": "tanh"}]},
    "dense.0.dropout=1.0": {"dense": [{"units": 8, "dropout": 1.0}]},
    "dense=[]": {"dense": []},
    "shrink a 45-pixel viewpoint to nothing": {"convolutions": [{"filters": 8, "kernel": 40, "pool": 7}]},
}


@pytest.mark.parametrize("expected", MISTAKES)
def test_a_mistake_in_a_file_is_one_line(expected: str, tmp_path: Path) -> None:
    sound = {"name": "x", "convolutions": [{"filters": 8, "kernel": 3}], "dense": [{"units": 8}]}
    path = tmp_path / "network.yaml"
    path.write_text(yaml.safe_dump(sound))
    assert isinstance(load_network_spec(path), NetworkSpec)
    path.write_text(yaml.safe_dump(sound | MISTAKES[expected]))
    with pytest.raises(InputError) as error:
        load_network_spec(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
