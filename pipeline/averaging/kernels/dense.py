"""Dense layers: torch's matrix products, and kernels for what lies between them.

The first layer sees the viewpoints of a set in four orders. A Walsh–Hadamard transform over each orbit of
viewpoints, of features and of weights, turns its sixteen block products into four (see `averaging.shared`).
Weights are brought once into the order in which features lie in memory, and the two linear maps of a maxout
layer into two halves, so that every kernel reads and writes neighbours.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.averaging.kernels.largest import larger
from pipeline.averaging.kernels.layout import Step, Work, blocks, power_of_two
from pipeline.averaging.shared import HADAMARD, orbits
from pipeline.geometry import SYMMETRIES, VIEWPOINTS
from pipeline.network import Dense

ORDERS = len(SYMMETRIES)
ORBITS = VIEWPOINTS // ORDERS

_UNITS_AT_ONCE = 1024


@triton.jit
def activated(x, other, bias, inside, UNITS: tl.constexpr, MAXOUT: tl.constexpr):
    """ReLU of linear maps with their biases, or with maxout the larger of `x` and of `other`, UNITS on."""
    x += tl.load(bias, mask=inside, other=0)
    if MAXOUT:
        other += tl.load(bias + UNITS, mask=inside, other=0)
    else:
        other = tl.zeros_like(x)
    return larger(x, other)


@triton.jit(do_not_specialize=["sets"])
def hadamard_kernel(features, orbits, spectrum, sets, FEATURES: tl.constexpr, BLOCK: tl.constexpr):
    """Features (sets, 16, FEATURES) → (4 characters, sets, 4 orbits, FEATURES), of one orbit of a set."""
    one, orbit = tl.program_id(0).to(tl.int64), tl.program_id(1)
    f = tl.arange(0, BLOCK)
    inside = f < FEATURES
    x = features + one * (16 * FEATURES) + f
    member = orbits + orbit * 4
    a = tl.load(x + tl.load(member) * FEATURES, mask=inside).to(tl.float32)
    b = tl.load(x + tl.load(member + 1) * FEATURES, mask=inside).to(tl.float32)
    c = tl.load(x + tl.load(member + 2) * FEATURES, mask=inside).to(tl.float32)
    d = tl.load(x + tl.load(member + 3) * FEATURES, mask=inside).to(tl.float32)
    to = spectrum + one * (4 * FEATURES) + orbit * FEATURES + f
    character = sets.to(tl.int64) * (4 * FEATURES)
    short = spectrum.dtype.element_ty
    tl.store(to, (a + b + c + d).to(short), mask=inside)
    tl.store(to + character, (a - b + c - d).to(short), mask=inside)
    tl.store(to + 2 * character, (a + b - c - d).to(short), mask=inside)
    tl.store(to + 3 * character, (a - b - c + d).to(short), mask=inside)


@triton.jit
def _four(products, step, inside):
    """The products of the four characters, summed with the signs of each of the four orders."""
    a = tl.load(products, mask=inside, other=0).to(tl.float32)
    b = tl.load(products + step, mask=inside, other=0).to(tl.float32)
    c = tl.load(products + 2 * step, mask=inside, other=0).to(tl.float32)
    d = tl.load(products + 3 * step, mask=inside, other=0).to(tl.float32)
    return a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d


@triton.jit(do_not_specialize=["sets"])
def inverse_kernel(
    products, bias, hidden, sets, UNITS: tl.constexpr, MAXOUT: tl.constexpr, BLOCK: tl.constexpr
):
    """Products (4 characters, sets, linear maps) → hidden units (4 orders, sets, UNITS), of one set."""
    WIDTH: tl.constexpr = 2 * UNITS if MAXOUT else UNITS
    one = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < UNITS
    source = products + one * WIDTH + unit
    step = sets.to(tl.int64) * WIDTH
    a, b, c, d = _four(source, step, inside)
    e, f, g, h = a, b, c, d
    if MAXOUT:
        e, f, g, h = _four(source + UNITS, step, inside)
    bias += unit
    to = hidden + one * UNITS + unit
    order = sets.to(tl.int64) * UNITS
    short = hidden.dtype.element_ty
    tl.store(to, activated(a, e, bias, inside, UNITS, MAXOUT).to(short), mask=inside)
    tl.store(to + order, activated(b, f, bias, inside, UNITS, MAXOUT).to(short), mask=inside)
    tl.store(to + 2 * order, activated(c, g, bias, inside, UNITS, MAXOUT).to(short), mask=inside)
    tl.store(to + 3 * order, activated(d, h, bias, inside, UNITS, MAXOUT).to(short), mask=inside)


@triton.jit
def activation_kernel(products, bias, hidden, UNITS: tl.constexpr, MAXOUT: tl.constexpr, BLOCK: tl.constexpr):
    """Products (rows, linear maps) → hidden units (rows, UNITS), of one row."""
    WIDTH: tl.constexpr = 2 * UNITS if MAXOUT else UNITS
    row = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < UNITS
    source = products + row * WIDTH + unit
    x = tl.load(source, mask=inside, other=0).to(tl.float32)
    other = x
    if MAXOUT:
        other = tl.load(source + UNITS, mask=inside, other=0).to(tl.float32)
    value = activated(x, other, bias + unit, inside, UNITS, MAXOUT)
    tl.store(hidden + row * UNITS + unit, value.to(hidden.dtype.element_ty), mask=inside)


def units_of(layer: Dense) -> int:
    """Hidden units of a layer."""
    return layer.linear.out_features // (2 if layer.maxout else 1)


def in_halves(values: Tensor, layer: Dense) -> Tensor:
    """Weights or biases by linear map: of a maxout layer the even ones, then the odd ones."""
    return torch.cat([values[::2], values[1::2]]) if layer.maxout else values


def position_major(weight: Tensor, positions: int) -> Tensor:
    """Weights (…, maps · positions) for features that lie position by position: (…, positions · maps)."""
    by_map: Tensor = weight.unflatten(-1, (-1, positions))
    return by_map.transpose(-1, -2).flatten(-2)


def transformed(layer: Dense, positions: int) -> Tensor:
    """The first layer's weights after the Walsh–Hadamard transform, (4, 4 · features, linear maps), float32.

    Parameters
    ----------
    positions
        Of the maps whose values are a viewpoint's features; 1 if they are none of maps.
    """
    weight = in_halves(layer.linear.weight.detach().float(), layer).unflatten(1, (VIEWPOINTS, -1))
    by_orbit = position_major(weight, positions)[:, orbits().to(weight.device)]
    characters = torch.einsum("xg,hogf->xofh", HADAMARD.to(weight.device), by_orbit) / ORDERS
    return characters.flatten(1, 2).contiguous()


def first_dense(layer: Dense, positions: int, dtype: torch.dtype) -> list[Step]:
    """The first dense layer: from features (sets, 16, features) to hidden units (4 orders, sets, units)."""
    weight, bias = transformed(layer, positions).to(dtype), _bias(layer)
    features, units, width = weight.shape[1] // ORBITS, units_of(layer), weight.shape[2]
    members = orbits().to(weight.device, torch.int32).contiguous()

    def transform(source: Tensor, target: Tensor, sets: int) -> None:
        hadamard_kernel[(sets, ORBITS)](
            source, members, target, sets, FEATURES=features, BLOCK=power_of_two(features), num_warps=2
        )

    def multiply(source: Tensor, target: Tensor, sets: int) -> None:
        spectrum = _matrices(source, ORDERS, sets, ORBITS * features)
        torch.bmm(spectrum, weight, out=_matrices(target, ORDERS, sets, width))

    def invert(source: Tensor, target: Tensor, sets: int) -> None:
        block = min(power_of_two(units), _UNITS_AT_ONCE)
        inverse_kernel[(sets, blocks(units, block))](
            source, bias, target, sets, UNITS=units, MAXOUT=layer.maxout, BLOCK=block, num_warps=4
        )

    return [
        _step("dense 1, transform", (features,), VIEWPOINTS * features, transform),
        _step("dense 1, product", tuple(weight.shape), ORDERS * width, multiply),
        _step("dense 1, activation", (units, str(layer.maxout)), ORDERS * units, invert),
    ]


def product(name: str, layer: Dense, rows: int, positions: int, dtype: torch.dtype) -> Step:
    """The linear maps of a dense layer, without their biases, of so many rows a set."""
    weight = position_major(in_halves(layer.linear.weight.detach(), layer), positions)
    weight = weight.t().to(dtype).contiguous()

    def multiply(source: Tensor, target: Tensor, sets: int) -> None:
        features = _matrices(source, 1, rows * sets, weight.shape[0])[0]
        torch.mm(features, weight, out=_matrices(target, 1, rows * sets, weight.shape[1])[0])

    return _step(f"{name}, product", tuple(weight.shape), rows * weight.shape[1], multiply)


def activation(name: str, layer: Dense, rows: int) -> Step:
    """Biases and activation of a dense layer, of so many rows a set."""
    bias, units = _bias(layer), units_of(layer)
    block = min(power_of_two(units), _UNITS_AT_ONCE)

    def activate(source: Tensor, target: Tensor, sets: int) -> None:
        activation_kernel[(rows * sets, blocks(units, block))](
            source, bias, target, UNITS=units, MAXOUT=layer.maxout, BLOCK=block, num_warps=4
        )

    return _step(f"{name}, activation", (units, str(layer.maxout)), rows * units, activate)


def _bias(layer: Dense) -> Tensor:
    return in_halves(layer.linear.bias.detach().float(), layer).contiguous()


def _step(name: str, shape: tuple[int | str, ...], values: int, work: Work) -> Step:
    return Step(name, shape, values, {"only": lambda: work})


def _matrices(values: Tensor, count: int, rows: int, columns: int) -> Tensor:
    return values[: count * rows * columns].view(count, rows, columns)


def walsh_hadamard(features: Tensor) -> Tensor:
    """What the transform's kernel leaves, in plain torch: (sets, 16, features) → (4, sets, 4 · features)."""
    by_orbit = features[:, orbits().to(features.device)]
    return torch.einsum("xg,sogf->xsof", HADAMARD.to(features), by_orbit).flatten(2)


def inverse(products: Tensor, layer: Dense) -> Tensor:
    """What the inverse's kernel leaves, in plain torch: (4, sets, linear maps) → (4, sets, units)."""
    return activation_of(torch.einsum("xg,xsh->gsh", HADAMARD.to(products), products), layer)


def activation_of(products: Tensor, layer: Dense) -> Tensor:
    """What the activation's kernel leaves, in plain torch: (…, linear maps) → (…, units)."""
    x = products + _bias(layer)
    return torch.maximum(*x.chunk(2, dim=-1)) if layer.maxout else x.relu()
