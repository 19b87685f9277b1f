"""The network's forward pass against loops over positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.network import NetworkSpec, ViewpointNetwork
from pipeline.network.spec import ConvolutionSpec, DenseSpec, OutputSpec
from pipeline.tree import DecisionTree

SPECS = {
    "paper's shape, narrow": NetworkSpec(
        name="narrow",
        convolutions=(
            ConvolutionSpec(filters=4, kernel=6, pool=2, weight_std=0.15),
            ConvolutionSpec(filters=5, kernel=5, pool=2, weight_std=0.15),
            ConvolutionSpec(filters=6, kernel=3, weight_std=0.2),
            ConvolutionSpec(filters=7, kernel=3, pool=2, weight_std=0.2),
        ),
        dense=(DenseSpec(units=12, weight_std=0.1), DenseSpec(units=10, weight_std=0.2)),
        output=OutputSpec(weight_std=0.5),
    ),
    "pooling that leaves a remainder, ReLU": NetworkSpec(
        name="remainder",
        convolutions=(
            ConvolutionSpec(filters=3, kernel=8, pool=3, weight_std=0.1),
            ConvolutionSpec(filters=4, kernel=4, pool=2, weight_std=0.2),
        ),
        dense=(DenseSpec(units=9, activation="relu", weight_std=0.1),),
        output=OutputSpec(weight_std=0.5),
    ),
}


def with_random_biases(network: ViewpointNetwork) -> ViewpointNetwork:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.double().eval()


def pooled(x: Tensor, width: int) -> Tensor:
    size = x.shape[-1] // width
    out = torch.empty(*x.shape[:2], size, size, dtype=x.dtype)
    for row in range(size):
        for column in range(size):
            window = x[:, :, row * width : (row + 1) * width, column * width : (column + 1) * width]
            out[:, :, row, column] = window.flatten(2).max(-1).values
    return out


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Cross-correlation with a bias for every position; `bias` has shape (row, column, filter)."""
    kernel, out = weight.shape[-1], x.shape[-1] - weight.shape[-1] + 1
    patches = functional.unfold(x, kernel)
    maps = torch.empty(x.shape[0], weight.shape[0], out, out, dtype=x.dtype)
    for row in range(out):
        for column in range(out):
            values = patches[:, :, row * out + column] @ weight.reshape(weight.shape[0], -1).T
            maps[:, :, row, column] = values + bias[row, column]
    return maps


def naive_raw(network: ViewpointNetwork, viewpoints: Tensor) -> Tensor:
    """Raw answers of galaxies (n, 16, 3, 45, 45)."""
    spec, state = network.spec, network.state_dict()
    x = viewpoints.reshape(-1, 3, 45, 45)
    for i, layer in enumerate(spec.convolutions):
        x = convolved(x, state[f"convolutions.{i}.weight"], state[f"convolutions.{i}.bias"])
        x = pooled(torch.where(x > 0, x, 0.0), layer.pool)
    h = x.reshape(len(viewpoints), -1)
    for i, dense in enumerate(spec.dense):
        h = h @ state[f"dense.{i}.linear.weight"].T + state[f"dense.{i}.linear.bias"]
        h = (
            torch.maximum(h[:, 0::2], h[:, 1::2])
            if dense.activation == "maxout"
            else torch.where(h > 0, h, 0)
        )
    return h @ state["last.weight"].T + state["last.bias"]


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "gradients"])
def test_forward_equals_loops_over_positions(name: str, training: bool, tree: DecisionTree) -> None:
    network = with_random_biases(ViewpointNetwork(SPECS[name], tree))
    viewpoints = torch.rand(2, 16, 3, 45, 45, dtype=torch.float64)
    expected = naive_raw(network, viewpoints)
    assert float(expected.std()) > 0.05
    with torch.set_grad_enabled(training):
        raw = network.raw(network.viewpoint_features(viewpoints))
        torch.testing.assert_close(raw, expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(network(viewpoints), network.output(raw))


def test_the_piecewise_pass_of_many_viewpoints_equals_the_whole(tree: DecisionTree) -> None:
    network = ViewpointNetwork(SPECS["paper's shape, narrow"], tree).eval()
    viewpoints = torch.rand(3, 4, 16, 3, 45, 45)
    assert viewpoints[..., 0, 0, 0].numel() > 128
    with torch.no_grad():
        pieces = network.viewpoint_features(viewpoints)
    whole = network.viewpoint_features(viewpoints).detach()
    assert pieces.shape == (3, 4, 16, network.spec.viewpoint_features)
    torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-5)


def test_the_input_is_left_as_it_was(tree: DecisionTree) -> None:
    network = ViewpointNetwork(SPECS["paper's shape, narrow"], tree).eval()
    viewpoints = torch.rand(1, 16, 3, 45, 45)
    before = viewpoints.clone()
    with torch.no_grad():
        network(viewpoints)
    assert torch.equal(viewpoints, before)


def test_gradients_of_all_weights_equal_finite_differences(tree: DecisionTree) -> None:
    spec = SPECS["pooling that leaves a remainder, ReLU"]
    network = with_random_biases(ViewpointNetwork(spec, tree))
    viewpoints = torch.rand(1, 16, 3, 45, 45, dtype=torch.float64)
    direction = {name: torch.randn_like(p) for name, p in network.named_parameters()}

    def loss() -> Tensor:
        return network.raw(network.viewpoint_features(viewpoints)).square().sum()

    loss().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        slope = float((parameter.grad * direction[name]).sum())
        values = []
        for step in (1e-7, -1e-7):
            with torch.no_grad():
                parameter.add_(direction[name], alpha=step)
                values.append(float(loss()))
                parameter.add_(direction[name], alpha=-step)
        assert (values[0] - values[1]) / 2e-7 == pytest.approx(slope, rel=1e-4, abs=1e-5), name


def test_dropout_comes_before_each_dense_layer_and_only_in_training(tree: DecisionTree) -> None:
    network = ViewpointNetwork(SPECS["paper's shape, narrow"], tree)
    features = torch.rand(1, 16, network.spec.viewpoint_features)
    network.eval()
    assert torch.equal(network.raw(features), network.raw(features))
    network.train()
    assert not torch.equal(network.raw(features), network.raw(features))
    layers: list[tuple[Any, Any, int]] = [
        (network.dense_layers[0], network.dense_layers[0].linear, network.spec.features),
        (network.dense_layers[1], network.dense_layers[1].linear, 12),
        (lambda x: network.raw_after(x, []), network.last, 10),
    ]
    for layer, linear, width in layers:
        seen: list[Tensor] = []
        linear.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        layer(torch.ones(2000, width))
        assert set(seen[0].unique().tolist()) == {0.0, 2.0}
        assert float(seen[0].mean()) == pytest.approx(1, abs=0.05)
