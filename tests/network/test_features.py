"""Activations of layers, of every kind of network, against the layers called one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipeline.network import NetworkSpec, ViewpointNetwork, contrast_normalised, layer_activations
from pipeline.tree import load_tree

CONVOLUTIONS = [{"filters": 4, "kernel": 6, "pool": 4}, {"filters": 6, "kernel": 3, "pool": 4}]
VARIANTS: dict[str, dict[str, Any]] = {
    "one dense layer": {"dense": [{"units": 8}]},
    "extra dense": {"dense": [{"units": 8}, {"units": 5, "activation": "relu"}]},
    "shared dense": {"dense": [{"units": 8}], "viewpoint_dense": {"units": 3}},
}


def network(variant: str) -> ViewpointNetwork:
    torch.manual_seed(1)
    spec = NetworkSpec.model_validate({"name": "tiny", "convolutions": CONVOLUTIONS, **VARIANTS[variant]})
    made = ViewpointNetwork(spec, load_tree())
    for name, parameter in made.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_activations_are_what_the_layers_give_one_by_one(variant: str) -> None:
    made, viewpoints = network(variant), torch.rand(3, 16, 3, 45, 45)
    with torch.no_grad():
        found, x = layer_activations(made, viewpoints), viewpoints.flatten(0, 1)
        expected = {}
        for number, layer in enumerate(made.convolutions, 1):
            x = layer(x)
            expected[f"convolution_{number}"] = x.unflatten(0, (3, 16))
        x = x.flatten(1)
        if made.viewpoint_dense is not None:
            x = made.viewpoint_dense(x)
            expected["viewpoint_dense"] = x.unflatten(0, (3, 16))
        x = x.unflatten(0, (3, 16)).flatten(1)
        for number, dense in enumerate(made.dense_layers, 1):
            x = dense(x)
            expected[f"dense_{number}"] = x
        expected["answers"] = made.output(made.last(x))
        assert list(found) == list(expected)
        for name, values in expected.items():
            assert found[name].shape == values.shape
            torch.testing.assert_close(found[name], values, atol=1e-5, rtol=1e-4)
        hidden = made.hidden(made.viewpoint_features(viewpoints))
        torch.testing.assert_close(hidden, found[f"dense_{len(made.dense)}"])
        assert hidden.std() > 0
    assert not any(module._forward_hooks for module in made.modules())


def test_each_filter_is_stretched_by_itself() -> None:
    made = network("one dense layer")
    weight = made.convolutions[0].get_parameter("weight")
    weight[1] *= 100
    weight[2] = 3.0
    found = contrast_normalised(made)
    assert found.shape == (4, 6, 6, 3)
    for number in (0, 1, 3):
        assert found[number].min() == 0
        assert found[number].max() == 1
        place = (weight[number] == weight[number].max()).nonzero()[0].tolist()
        assert found[number][place[1], place[2], place[0]] == 1
    assert (found[2] == 0.5).all()
