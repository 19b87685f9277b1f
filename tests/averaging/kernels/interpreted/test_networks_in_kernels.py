"""Every kind of network from regions to answers, against as many passes of it in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from pipeline.averaging import naive_average, naive_with_hidden
from pipeline.averaging.kernels import KernelAverage, average
from pipeline.averaging.kernels.layout import Step, Work
from pipeline.config import CONFIGS
from pipeline.geometry import averaging_transforms, distinct_transforms
from pipeline.network import (
    DEFAULT_WEIGHTS,
    NetworkSpec,
    RegionBatch,
    ViewpointNetwork,
    ViewpointSampler,
    load_network,
    load_network_spec,
)
from pipeline.network.spec import ConvolutionSpec, DenseSpec
from pipeline.tree import DecisionTree
from tests.support.trained import galaxies, trained_like

MOST, MOST_SHIPPED = 2e-3, 1e-4
"""The largest difference that an answer may have, with random weights and with the shipped ones.

The mean of four transforms, as here, hides less rounding than that of sixty.
"""

QUICK = NetworkSpec(
    name="quick",
    convolutions=(
        ConvolutionSpec(filters=32, kernel=16, pool=2),
        ConvolutionSpec(filters=64, kernel=4, pool=2),
    ),
    dense=(DenseSpec(units=40), DenseSpec(units=24, activation="relu")),
)
"""Its convolutions are done by kernels; the interpreter needs minutes for those of networks that ship."""

CONVOLVED: set[tuple] = set()
"""Shapes of convolutions that kernels have done."""


def shapes(spec: NetworkSpec) -> tuple:
    """What two networks share that differ in weights, training or frames alone."""
    dense = (*([spec.viewpoint_dense] if spec.viewpoint_dense else []), None, *spec.dense)
    convolutions = tuple((layer.filters, layer.kernel, layer.pool) for layer in spec.convolutions)
    return convolutions, tuple(layer and (layer.units, layer.activation) for layer in dense)


def kinds() -> list:
    """One network of each shape."""
    by_shape: dict[tuple, NetworkSpec] = {(): QUICK}
    for path in sorted(Path(CONFIGS, "networks").glob("*.yaml")):
        spec = load_network_spec(path)
        by_shape.setdefault(shapes(spec), spec)
    return [
        pytest.param(spec, id=spec.name, marks=() if spec is QUICK else pytest.mark.long)
        for spec in by_shape.values()
    ]


def in_frames(count: int, device: torch.device) -> RegionBatch:
    """Galaxies off centre and zoomed: the corners of the largest transforms are reflected at the border."""
    return galaxies(count, 352, 1.05, off=4.4).to(device)


def mean_of(network: ViewpointNetwork, regions: RegionBatch, distinct: int, step: int = 1) -> Tensor:
    """The mean over so many distinct transforms, each so many after the last, and their symmetries."""
    sampler = ViewpointSampler().to(regions.pixels.device)
    fours = [averaging_transforms()[4 * step * number :][:4] for number in range(distinct)]
    return naive_average(network, sampler, regions, [transform for four in fours for transform in four])


@pytest.fixture
def each_shape_once(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the interpreter, leave convolutions to torch that another kind of network has had already."""

    def new_by_kernel(step: Step, *_: object) -> tuple[str, Work]:
        name = "library" if step.shape in CONVOLVED else next(iter(step.variants))
        if "library" in step.variants:
            CONVOLVED.add(step.shape)
        return name, step.variants[name]()

    if device.type == "cpu":
        monkeypatch.setattr(average, "choose", new_by_kernel)


@pytest.mark.usefixtures("each_shape_once")
@pytest.mark.parametrize("spec", kinds())
def test_a_network_of_each_kind(spec: NetworkSpec, tree: DecisionTree, device: torch.device) -> None:
    shipped = spec.name == "compact"
    network = (
        load_network(DEFAULT_WEIGHTS, tree)[0]
        if shipped
        else trained_like(spec, tree, spread=None).requires_grad_(False)
    )
    network, regions = network.to(device), in_frames(1, device)
    by_kernels = KernelAverage(network, dtype=torch.float16, transforms=distinct_transforms()[:1])
    expected = mean_of(network, regions, 1)
    assert float(expected[:, :3].sum()) > 0.99
    assert_near(by_kernels(regions), expected, spec.name, MOST_SHIPPED if shipped else MOST)


def assert_near(found: Tensor, expected: Tensor, name: str, most: float) -> None:
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    difference = float((found - expected).abs().max())
    print(f"{name}: largest difference {difference:.1e}")
    assert difference < most


def small(dense: Sequence[DenseSpec], tree: DecisionTree) -> ViewpointNetwork:
    """A network that the interpreter is through with in a second."""
    convolutions = (
        ConvolutionSpec(filters=8, kernel=9, pool=4),
        ConvolutionSpec(filters=12, kernel=4, pool=2),
    )
    spec = NetworkSpec(name=f"{len(dense)} small layers", convolutions=convolutions, dense=tuple(dense))
    return trained_like(spec, tree, spread=None).requires_grad_(False)


@pytest.fixture
def networks(tree: DecisionTree, device: torch.device) -> list[ViewpointNetwork]:
    relu, maxout = DenseSpec(units=24, activation="relu"), DenseSpec(units=40)
    return [small(dense, tree).to(device) for dense in ([maxout], [relu], [maxout, relu, maxout])]


def test_an_ensemble_is_the_mean_of_its_networks(networks: list, device: torch.device) -> None:
    regions = in_frames(2, device)
    ensemble = KernelAverage(*networks, dtype=torch.float16, transforms=distinct_transforms()[:2])
    expected = torch.stack([mean_of(network, regions, 2) for network in networks])
    assert float(expected.std(0).max()) > 0.01
    assert_near(ensemble.each(regions), expected, "ensemble, each", MOST)
    assert_near(ensemble(regions), expected.mean(0), "ensemble", MOST)


@pytest.mark.parametrize(
    "first",
    [*(pytest.param(0, marks=pytest.mark.long), pytest.param(1, marks=pytest.mark.long)), 2],
    ids=["one maxout layer", "one ReLU layer", "several"],
)
def test_the_hidden_layer_is_the_first_networks_and_moves_no_answer(
    first: int, networks: list, device: torch.device
) -> None:
    regions, ordered = in_frames(2, device), [networks[first], networks[first - 1]]
    by_kernels = KernelAverage(
        *ordered, dtype=torch.float16, galaxies_at_once=1, transforms=distinct_transforms()[:1]
    )
    answers, hidden = by_kernels.with_hidden(regions)
    assert torch.equal(answers, by_kernels(regions))
    sampler = ViewpointSampler().to(device)
    expected = naive_with_hidden(ordered[0], sampler, regions, averaging_transforms()[:4])[1]
    assert float(expected.std(0).mean()) > 0.02
    assert hidden.dtype == torch.float32
    torch.testing.assert_close(hidden, expected, rtol=5e-3, atol=5e-3)
    assert by_kernels.with_hidden(regions[:0])[1].shape == (0, ordered[0].last.in_features)


@pytest.mark.parametrize(
    "count", [0, *(pytest.param(count, marks=pytest.mark.long) for count in (1, 4, 5)), 3]
)
def test_any_number_of_galaxies(count: int, networks: list, device: torch.device) -> None:
    """In chunks of two, as 255, 257 or 1,024 are in chunks of 256: the same buffers, again and again."""
    by_kernels = KernelAverage(
        networks[0], dtype=torch.float16, galaxies_at_once=2, transforms=distinct_transforms()[:1]
    )
    regions = in_frames(5, device)
    found = by_kernels(regions[:count])
    expected = mean_of(networks[0], regions, 1)[:count]
    assert found.shape == (count, 37)
    torch.testing.assert_close(found, expected, rtol=0, atol=MOST)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all sixty"])
def test_transforms_from_the_first_to_the_last(step: int, networks: list, device: torch.device) -> None:
    regions, distinct = in_frames(1, device), distinct_transforms()[::step]
    by_kernels = KernelAverage(networks[2], dtype=torch.float16, transforms=distinct)
    expected = mean_of(networks[2], regions, len(distinct), step)
    assert_near(by_kernels(regions), expected, f"{len(distinct)} transforms", MOST)


def test_stages_end_one_after_another(networks: list, device: torch.device) -> None:
    by_kernels = KernelAverage(*networks[:2], dtype=torch.float16, transforms=distinct_transforms()[:1])
    stages = by_kernels.stages(in_frames(1, device))
    assert list(stages)[:2] == ["sampling", "network 1, convolution 1"]
    assert len(stages) == 1 + len(by_kernels.steps)
    partly, whole = (torch.cat(cast(list, stages[name]()), 1) for name in list(stages)[-2:])
    assert not partly[1].any()
    torch.testing.assert_close(partly[0], whole[0], rtol=0, atol=0)
    assert whole.all(-1).any()


def test_a_network_in_training_mode_is_refused(networks: list) -> None:
    with pytest.raises(ValueError, match="eval"):
        KernelAverage(networks[0].train(), dtype=torch.float16)
