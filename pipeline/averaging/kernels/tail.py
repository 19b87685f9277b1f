"""From the last hidden layer to the mean: its activation, the last layer, the tree, and the mean of a galaxy.

The last layer's weights stay as precise as float32: each is the sum of two short floats, of which the second
is kept `_LOW_SCALE` times as large, so that it's far from the smallest that there are.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.averaging.kernels.dense import ORDERS, activated, activation_of, in_halves
from pipeline.averaging.kernels.largest import larger
from pipeline.averaging.kernels.layout import Step, Work, power_of_two
from pipeline.network import Dense, ViewpointNetwork
from pipeline.tree import DecisionTree

_LOW_SCALE = 2048.0
_EPSILON = 1e-12
"""As in `network.output`."""


@triton.jit(do_not_specialize=["sets"])
def tail_kernel(
    hidden, bias, high, low, low_scale, last, question, gates, gated, answers, sets, epsilon,
    TRANSFORMS: tl.constexpr, UNITS: tl.constexpr, ACTIVATION: tl.constexpr, QUESTIONS: tl.constexpr,
    GATES: tl.constexpr, ANSWERS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """One galaxy: its rows are (order, transform), with the set of each transform in all four orders."""
    WIDTH: tl.constexpr = 2 * UNITS if ACTIVATION == "maxout" else UNITS
    galaxy = tl.program_id(0)
    m, n, k = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, STEP)
    real = m < 4 * TRANSFORMS
    row = tl.where(real, m // TRANSFORMS * sets + galaxy * TRANSFORMS + m % TRANSFORMS, 0).to(tl.int64)
    source = hidden + row[:, None] * WIDTH
    raw = tl.zeros((ROWS, COLUMNS), tl.float32)
    rest = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in tl.range(0, (UNITS + STEP - 1) // STEP, num_stages=STAGES):
        unit = i * STEP + k
        inside = (unit < UNITS)[None, :]
        x = tl.load(source + unit[None, :], mask=inside, other=0)
        if ACTIVATION != "none":
            other = x
            if ACTIVATION == "maxout":
                other = tl.load(source + UNITS + unit[None, :], mask=inside, other=0)
            x = activated(
                x.to(tl.float32),
                other.to(tl.float32),
                bias + unit[None, :],
                inside,
                UNITS,
                ACTIVATION == "maxout",
            ).to(hidden.dtype.element_ty)
        at = unit[:, None] * COLUMNS + n[None, :]
        raw = tl.dot(x, tl.load(high + at, mask=(unit < UNITS)[:, None], other=0), raw)
        rest = tl.dot(x, tl.load(low + at, mask=(unit < UNITS)[:, None], other=0), rest)
    raw += rest / low_scale + tl.load(last + n)[None, :]
    asked_of = tl.load(question + n)[None, :]
    probability = tl.where(asked_of >= 0, larger(raw, 0.0), 0.0)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in tl.static_range(QUESTIONS):
        asked = tl.sum(tl.where(asked_of == i, probability, 0.0), axis=1)
        total = tl.where(asked_of == i, asked[:, None], total)
    probability = probability / (total + epsilon)
    for i in tl.static_range(GATES):
        gate = tl.load(gates + i * COLUMNS + n)[None, :]
        asked = tl.sum(tl.where(gate != 0, probability, 0.0), axis=1)
        probability = tl.where(asked_of == tl.load(gated + i), probability * asked[:, None], probability)
    mean = tl.sum(tl.where(real[:, None], probability, 0.0), axis=0) / (4 * TRANSFORMS)
    tl.store(answers + galaxy * ANSWERS + n, mean, mask=n < ANSWERS)


class Tiles(NamedTuple):
    """A configuration of the kernel: units of a step, warps of a program, steps loaded ahead."""

    step: int
    warps: int
    stages: int

    def __str__(self) -> str:
        return f"{self.step} units, {self.warps} warps, {self.stages} stages"


TILES = (Tiles(64, 4, 3), Tiles(128, 4, 2))


class Gating(NamedTuple):
    """A tree as the kernel reads it.

    Attributes
    ----------
    question : Tensor, shape (columns,), int32
        Number of the question that a column answers; −1 where it is none's.
    gates : Tensor, shape (gates, columns), int32
        1 where a column's probability is one of the sum that gates a question.
    gated : Tensor, shape (gates,), int32
        The question of each gate, in an order in which a gate is final before it's used.
    """

    question: Tensor
    gates: Tensor
    gated: Tensor


def gating(tree: DecisionTree, columns: int) -> Gating:
    """A tree for a last layer whose answers are filled up to so many columns."""
    question = torch.full((columns,), -1, dtype=torch.int32)
    number = {}
    for i, (key, where) in enumerate(tree.slices.items()):
        question[where] = i
        number[key] = i
    gates = torch.zeros(len(tree.gates), columns, dtype=torch.int32)
    for row, gate in zip(gates, tree.gates.values(), strict=True):
        row[list(gate)] = 1
    return Gating(question, gates, torch.tensor([number[key] for key in tree.gates], dtype=torch.int32))


def halves(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Float32 weights as sums of two short floats: high + low / `_LOW_SCALE`."""
    high = weight.to(dtype)
    return high, ((weight - high.float()) * _LOW_SCALE).to(dtype)


def inactive_layer(network: ViewpointNetwork) -> Dense | None:
    """The last hidden layer, where its biases and activation are left to the tail; None where not."""
    _, *others = network.dense_layers
    return others[-1] if others else None


def tail(network: ViewpointNetwork, layer: Dense | None, transforms: int, dtype: torch.dtype) -> Step:
    """The last layer and all after it: from hidden values (4 orders, sets, …) to mean answers, float32.

    Parameters
    ----------
    layer
        The last hidden layer, if its biases and activation are still to be applied.
    transforms
        Sets of a galaxy.
    """
    units = network.last.in_features
    activation = "none" if layer is None else "maxout" if layer.maxout else "relu"
    variants = {
        str(tiles): partial(_kernel_work, network, layer, transforms, dtype, tiles) for tiles in TILES
    }
    return Step("answers", (units, activation, transforms, network.last.out_features), 0, variants)


def _kernel_work(
    network: ViewpointNetwork, layer: Dense | None, transforms: int, dtype: torch.dtype, tiles: Tiles
) -> Work:
    units, count = network.last.in_features, network.last.out_features
    columns = max(16, power_of_two(count))
    weight = torch.zeros(units, columns, device=network.device)
    weight[:, :count] = network.last.weight.detach().float().t()
    high, low = halves(weight, dtype)
    last = torch.zeros(columns, device=network.device)
    last[:count] = network.last.bias.detach().float()
    question, gates, gated = (part.to(network.device) for part in gating(network.tree, columns))
    bias = last if layer is None else in_halves(layer.linear.bias.detach().float(), layer).contiguous()
    activation = "none" if layer is None else "maxout" if layer.maxout else "relu"

    def work(hidden: Tensor, answers: Tensor, sets: int) -> None:
        tail_kernel[(sets // transforms,)](
            hidden,
            bias,
            high,
            low,
            _LOW_SCALE,
            last,
            question,
            gates,
            gated,
            answers,
            sets,
            _EPSILON,
            TRANSFORMS=transforms,
            UNITS=units,
            ACTIVATION=activation,
            QUESTIONS=len(network.tree.questions),
            GATES=len(gates),
            ANSWERS=count,
            ROWS=max(16, power_of_two(ORDERS * transforms)),
            COLUMNS=columns,
            STEP=tiles.step,
            STAGES=tiles.stages,
            num_warps=tiles.warps,
        )

    return work


def mean_answers(hidden: Tensor, network: ViewpointNetwork, layer: Dense | None, transforms: int) -> Tensor:
    """What the kernel leaves, in plain torch: hidden values (4, sets, …) → answers (n, answers), float32."""
    x = hidden if layer is None else activation_of(hidden, layer)
    probabilities: Tensor = network.output(network.raw_of_hidden(x))
    return torch.mean(probabilities.unflatten(1, (-1, transforms)), dim=(0, 2))


def mean_hidden(hidden: Tensor, layer: Dense | None, transforms: int) -> Tensor:
    """Mean activations of hidden values (4, sets, …) as the kernel reads them: (n, units), float32.

    In plain torch, on GPUs too: what is read has just been written, and is little.
    """
    means = []
    for order in hidden:  # float32 values of one order at a time
        x = order.float() if layer is None else activation_of(order.float(), layer)
        means.append(x.unflatten(0, (-1, transforms)).mean(1))
    return torch.stack(means).mean(0)
