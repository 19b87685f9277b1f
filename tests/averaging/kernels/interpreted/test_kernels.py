"""Each kernel against its twin of plain torch in float32, on the same short floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import pytest
import torch
from torch import Tensor

from pipeline.averaging.kernels import convolution, dense, first_convolution, library, sampling, tail
from pipeline.averaging.kernels.layout import CROP, CROPS, PITCH, PIXEL, Step, Work
from pipeline.geometry import CROP_PIXELS, VIEWPOINTS, distinct_transforms
from pipeline.network import Dense, NetworkSpec, RegionBatch, ViewpointNetwork
from pipeline.network.spec import ConvolutionSpec, DenseSpec
from pipeline.tree import DecisionTree

SHORT = torch.float16
Activation = Literal["maxout", "relu"]
ACTIVATIONS = get_args(Activation)


def leaves(work: Work, source: Tensor, values: int, sets: int) -> Tensor:
    """What a work leaves, in float32, once the buffer behind it is found untouched."""
    target = torch.full((values * sets + 64,), torch.nan, dtype=source.dtype, device=source.device)
    work(source.flatten(), target, sets)
    assert target[values * sets :].isnan().all()
    return target[: values * sets].float()


def close(found: Tensor, expected: Tensor) -> None:
    """Equal but for the rounding of the result."""
    assert float(expected.abs().mean()) > 0.01
    torch.testing.assert_close(found.view(expected.shape), expected, rtol=2e-3, atol=2e-3)


def regions(n: int, side: int, scale: float, off: float, device: torch.device) -> RegionBatch:
    pixels = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, device=device)
    center = torch.full((n, 2), (side - 1) / 2, dtype=torch.float64, device=device)
    center += off * torch.linspace(-1, 1, 2 * n, device=device).reshape(n, 2)
    return RegionBatch(pixels, center, torch.full((n,), scale, dtype=torch.float64, device=device))


WHERE = {
    "whole": (352, 1.0, 0.0),
    "off centre": (300, 1.0, 17.7),
    "centre at the border": (61, 0.4, 30.0),
    "reflected often": (5, 0.3, 1.0),
    "one pixel": (1, 0.1, 0.0),
}
"""Side of a region, its scale, and how far its centre is off."""


def regions_of_both_types() -> list:
    """Each region in one data type; in the other when there is time."""
    return [
        pytest.param(*place, dtype, id=f"{name}, {dtype}", marks=pytest.mark.long if other else ())
        for number, (name, place) in enumerate(WHERE.items())
        for other, dtype in enumerate([torch.uint8, torch.float32][:: 1 if number % 2 else -1])
    ]


@pytest.mark.parametrize(("side", "scale", "off", "dtype"), regions_of_both_types())
def test_sampling(side: int, scale: float, off: float, dtype: torch.dtype, device: torch.device) -> None:
    galaxies = regions(1 if dtype.is_floating_point else 2, side, scale, off, device)
    if dtype.is_floating_point:
        galaxies = RegionBatch(galaxies.pixels / 255, galaxies.center, galaxies.scale)
    transforms = distinct_transforms()[-1:]
    crops = torch.full((len(galaxies) * CROPS * CROP,), torch.nan, dtype=SHORT, device=device)
    sampling.Sampling(transforms, SHORT, device)(galaxies, crops)
    expected = sampling.sampled(galaxies, transforms) if side > 1 else one_pixel(galaxies)
    found = crops.view(expected.shape).float()
    assert not found[..., CROP_PIXELS:, :].any()
    assert not found[..., 3:].any()
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def one_pixel(galaxies: RegionBatch) -> Tensor:
    """Crops of images of one pixel, of which `grid_sample` can make nothing."""
    crops = torch.zeros(len(galaxies), 1, CROPS, CROP_PIXELS, PITCH, PIXEL)
    color = galaxies.pixels[:, 0, 0] / (255 if galaxies.pixels.dtype == torch.uint8 else 1)
    crops[..., :CROP_PIXELS, :3] = color[:, None, None, None, None]
    return crops


def random_crops(sets: int, device: torch.device) -> Tensor:
    crops = torch.rand(CROPS * sets, CROP_PIXELS, PITCH, PIXEL, dtype=SHORT, device=device)
    crops[:, :, CROP_PIXELS:] = 0
    crops[..., 3] = 0
    return crops


@pytest.mark.parametrize(
    ("filters", "kernel", "variant", "sets"),
    [
        pytest.param(32, 6, "4 crops, 8 warps, 1 stages", 1, marks=pytest.mark.long),
        pytest.param(16, 8, "2 crops, 4 warps, 2 stages", 2, marks=pytest.mark.long),
        (4, 4, "2 crops, 4 warps, 2 stages", 2),
        pytest.param(8, 7, "library", 3, marks=pytest.mark.long),
        (4, 7, "library", 1),
    ],
)
def test_the_first_convolution(
    filters: int, kernel: int, variant: str, sets: int, device: torch.device
) -> None:
    weight = (0.1 * torch.randn(filters, 3, kernel, kernel, device=device)).to(SHORT)
    bias = torch.randn(46 - kernel, 46 - kernel, filters, device=device)
    step = first_convolution.first_convolution(weight, bias, 2)
    crops = random_crops(sets, device)
    expected = first_convolution.first_convolved(crops.float(), weight.float(), bias, 2)
    assert 0.1 < float((expected > 0).float().mean()) < 0.999
    room = torch.cat([crops, random_crops(1, device)])  # groups of crops may go beyond the last one
    target = torch.zeros(step.values * (sets + 1), dtype=SHORT, device=device)
    step.variants[variant]()(room.flatten(), target, sets)
    close(target[: step.values * sets].float(), expected)


@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "pool", "size", "sets"),
    [
        pytest.param(32, 64, 5, 2, 20, 1, marks=pytest.mark.long),
        pytest.param(32, 64, 4, 2, 19, 1, marks=pytest.mark.long),
        (64, 128, 3, 1, 8, 1),
        pytest.param(128, 128, 3, 2, 6, 3, marks=pytest.mark.long),
        pytest.param(128, 192, 3, 2, 6, 1, marks=pytest.mark.long),
        pytest.param(128, 256, 3, 2, 6, 1, marks=pytest.mark.long),
        pytest.param(32, 64, 5, 2, 9, 3, marks=pytest.mark.long),
        (32, 64, 4, 2, 7, 3),
        (32, 64, 3, 2, 7, 3),
        (16, 24, 3, 3, 8, 3),
    ],
)
def test_a_convolution_in_all_its_variants(
    channels: int, filters: int, kernel: int, pool: int, size: int, sets: int, device: torch.device
) -> None:
    weight = torch.randn(filters, channels, kernel, kernel, device=device) / (channels**0.5 * kernel)
    weight = weight.to(SHORT)
    bias = torch.randn(size - kernel + 1, size - kernel + 1, filters, device=device)
    maps = torch.rand(VIEWPOINTS * sets, size, size, channels, device=device).to(SHORT)
    step = convolution.convolution(2, weight, bias, pool, size)
    expected = library.convolved(maps.float(), weight.float(), bias, pool)
    assert 0.1 < float((expected > 0).float().mean()) < 0.999
    for prepare in distinct(step, device):
        close(leaves(prepare(), maps, step.values, sets), expected)


def distinct(step: Step, device: torch.device) -> list[Callable[[], Work]]:
    """Variants of a step; in the interpreter, which knows no warps and caches, one of each shape of tiles."""
    if device.type == "cuda":
        return list(step.variants.values())
    tiles: dict[tuple, Callable[[], Work]] = {}
    for name, prepare in step.variants.items():
        if "through L1" not in name:
            tiles.setdefault((name.split(", ")[0], "pairs" in name), prepare)
    return list(tiles.values())


def layer(activation: Activation, features: int, units: int, device: torch.device) -> Dense:
    made = Dense(DenseSpec(units=units, activation=activation), features).to(device).eval()
    torch.nn.init.normal_(made.linear.weight, std=features**-0.5)
    torch.nn.init.normal_(made.linear.bias)
    return made


@pytest.mark.parametrize(("features", "units"), [(512, 40), (20, 256)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@torch.no_grad()
def test_the_first_dense_layer(
    activation: Activation, features: int, units: int, device: torch.device
) -> None:
    first, sets = layer(activation, VIEWPOINTS * features, units, device), 3
    transform, product, invert = dense.first_dense(first, 4, SHORT)
    maps = torch.rand(sets, VIEWPOINTS, 4, features // 4, device=device).to(SHORT)
    values = maps.flatten(2)
    spectrum = leaves(only(transform), values, transform.values, sets)
    close(spectrum, dense.walsh_hadamard(values.float()))
    products = leaves(only(product), spectrum.to(SHORT), product.values, sets).view(4, sets, -1)
    hidden = leaves(only(invert), products.to(SHORT), invert.values, sets).view(4, sets, units)
    close(hidden, dense.inverse(products, first))
    features_of_torch = maps.float().transpose(2, 3).flatten(2)  # map by map, as the layer has them
    torch.testing.assert_close(hidden[0], first(features_of_torch.flatten(1)), rtol=1e-2, atol=1e-2)


def only(step: Step) -> Work:
    (prepare,) = step.variants.values()
    return prepare()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@torch.no_grad()
def test_a_dense_layer(activation: Activation, device: torch.device) -> None:
    other = layer(activation, 4 * 12, 40, device)
    values = torch.rand(5 * 2, 4, 12, device=device).to(SHORT)
    product = dense.product("dense 2", other, 2, 4, SHORT)
    products = leaves(only(product), values, product.values, 5)
    activate = dense.activation("dense 2", other, 2)
    hidden = leaves(only(activate), products.to(SHORT), activate.values, 5)
    close(hidden, dense.activation_of(products.to(SHORT).float().view(10, -1), other))
    by_map = values.float().transpose(1, 2).flatten(1)
    torch.testing.assert_close(hidden.view(10, 40), other(by_map), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("transforms", [1, pytest.param(15, marks=pytest.mark.long)])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@torch.no_grad()
def test_the_tail(
    activation: Activation | None, transforms: int, tree: DecisionTree, device: torch.device
) -> None:
    kind, galaxies = activation or "relu", 2
    spec = NetworkSpec(
        name="tail",
        convolutions=(ConvolutionSpec(filters=4, kernel=8, pool=4),),
        dense=(DenseSpec(units=8), DenseSpec(units=72, activation=kind)),
    )
    network = ViewpointNetwork(spec, tree).to(device).eval()
    torch.nn.init.normal_(network.last.weight)
    torch.nn.init.normal_(network.last.bias)
    hidden_layer = network.dense_layers[-1] if activation else None
    width = 144 if activation == "maxout" else 72
    hidden = torch.randn(4, galaxies * transforms, width, device=device).to(SHORT)
    step = tail.tail(network, hidden_layer, transforms, SHORT)
    x = hidden.float() if hidden_layer is None else dense.activation_of(hidden.float(), hidden_layer)
    expected = tail.mean_answers(x.to(SHORT).float(), network, None, transforms)
    for prepare in step.variants.values():
        answers = torch.full((galaxies, 37), torch.nan, device=device)
        prepare()(hidden.flatten(), answers, galaxies * transforms)
        torch.testing.assert_close(answers, expected, rtol=0, atol=2e-5)
