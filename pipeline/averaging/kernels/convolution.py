"""A convolution with its biases, ReLU and pooling in one kernel, over maps with channels last.

A row of the product is a position; its windows are rows of neighbouring values in memory, of which each step
takes a piece. Where two neighbouring columns are pooled, both may be computed in one row of the product, as
channels, from a window that is one pixel wider: fewer windows are loaded (`paired`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from pipeline.averaging.kernels.l1 import ThroughL1
from pipeline.averaging.kernels.largest import larger, largest
from pipeline.averaging.kernels.layout import Step, Work, blocks
from pipeline.averaging.kernels.library import library_work
from pipeline.geometry import VIEWPOINTS

_STEP = 64
"""Values of a step where a window's row has a multiple of them; smaller steps are for others."""


@triton.jit(do_not_specialize=["total", "steps"])
def convolution_kernel(
    maps, weight, bias, pooled, total, steps,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, KERNEL: tl.constexpr, FILTERS: tl.constexpr,
    POOL: tl.constexpr, PAIRED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """ROWS positions before pooling, COLUMNS filters (of both columns of a pair).

    The rows that are pooled together differ in bit 3, and in bit 0 as well where columns aren't paired.
    """
    OUT: tl.constexpr = SIZE - KERNEL + 1
    SIDE: tl.constexpr = OUT // POOL
    POOLED_ROWS: tl.constexpr = POOL if PAIRED else POOL * POOL
    WIDTH: tl.constexpr = 2 * FILTERS if PAIRED else FILTERS
    block = tl.program_id(0) % (WIDTH // COLUMNS)
    first = (tl.program_id(0) // (WIDTH // COLUMNS)).to(tl.int64) * (ROWS // POOLED_ROWS)
    viewpoint = first // (SIDE * SIDE)
    m = tl.arange(0, ROWS)
    if POOLED_ROWS == 4:
        position, dy, dx = m // 16 * 4 + m // 2 % 4, m // 8 % 2, m % 2
    elif POOLED_ROWS == 2:
        position, dy, dx = m // 16 * 8 + m % 8, m // 8 % 2, m * 0
    else:
        position, dy, dx = m, m * 0, m * 0
    # From here on places are counted from the first viewpoint of these rows, in 32 bits.
    last = tl.minimum(total - 1 - viewpoint * (SIDE * SIDE), ROWS + SIDE * SIDE).to(tl.int32)
    position = tl.minimum((first - viewpoint * (SIDE * SIDE)).to(tl.int32) + position, last)
    within = position % (SIDE * SIDE)
    y, x = within // SIDE * POOL + dy, within % SIDE * POOL + dx
    n = block * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, STEP)
    source = maps + viewpoint * (SIZE * SIZE * CHANNELS)
    at = (position // (SIDE * SIDE) * (SIZE * SIZE) + y * SIZE + x) * CHANNELS
    window_at = at[:, None] + k[None, :]
    weight_at = k[:, None] * WIDTH + n[None, :]
    place = y * SIDE + x // 2 if PAIRED else y * OUT + x
    result = tl.load(bias + place[:, None] * WIDTH + n[None, :])
    for i in tl.range(0, steps, num_stages=STAGES):  # down the window's rows first, which overlap
        window = tl.load(source + (i % KERNEL * (SIZE * CHANNELS) + i // KERNEL * STEP) + window_at)
        result = tl.dot(window, tl.load(weight + i * (STEP * WIDTH) + weight_at), result)
    if POOLED_ROWS > 1:
        result = largest(tl.reshape(result, (ROWS // 16, 2, 8, COLUMNS)), 1)
    if POOLED_ROWS == 4:
        result = largest(tl.reshape(result, (ROWS // 4, 2, COLUMNS)), 1)
    if PAIRED:
        result = largest(tl.reshape(result, (ROWS // 2, 2, COLUMNS // 2)), 1)
    KEPT: tl.constexpr = COLUMNS // 2 if PAIRED else COLUMNS
    row = tl.arange(0, ROWS // POOLED_ROWS)[:, None]
    to = row * FILTERS + block * KEPT + tl.arange(0, KEPT)[None, :]
    result = larger(result, 0.0).to(pooled.dtype.element_ty)
    tl.store(pooled + first * FILTERS + to, result, mask=first + row < total)


class Tiles(NamedTuple):
    """A configuration of the kernel.

    Attributes
    ----------
    rows, columns, step
        Of the tile that a program computes, and how many values of a window it takes at a time.
    warps, stages
        Warps of a program, and for how many steps it loads ahead.
    paired
        Whether two neighbouring columns are channels.
    registers
        Most registers of a thread; as the compiler likes if None.
    l1
        Whether windows are copied through the first-level cache, past which the weights go.
    """

    rows: int
    columns: int
    step: int
    warps: int
    stages: int
    paired: bool = False
    registers: int | None = None
    l1: bool = False

    def __str__(self) -> str:
        words = f"{self.rows} × {self.columns} × {self.step}, {self.warps} warps, {self.stages} stages"
        words += ", pairs" * self.paired + f", {self.registers} registers" * bool(self.registers)
        return words + ", through L1" * self.l1


TILES = (
    Tiles(128, 128, 64, 4, 3, paired=True),
    Tiles(128, 128, 64, 4, 3, paired=True, l1=True),
    Tiles(256, 128, 64, 8, 3, paired=True, l1=True),
    Tiles(256, 128, 64, 8, 4, paired=True),
    Tiles(128, 128, 32, 4, 4, paired=True),
    Tiles(128, 128, 32, 4, 4, paired=True, l1=True),
    Tiles(256, 128, 32, 8, 4, paired=True, l1=True),
    Tiles(128, 64, 64, 4, 3),
    Tiles(256, 64, 64, 8, 3, l1=True),
    Tiles(128, 128, 64, 8, 3, registers=128),  # one more would keep a second program off the multiprocessor
    Tiles(128, 128, 64, 8, 3, registers=128, l1=True),
    Tiles(128, 128, 64, 4, 3, l1=True),
    Tiles(256, 128, 64, 8, 3, l1=True),
)


def convolution(number: int, weight: Tensor, bias: Tensor, pool: int, size: int) -> Step:
    """A convolution of maps (viewpoints, size, size, channels).

    Parameters
    ----------
    number
        Which one of the network's.
    weight : Tensor, shape (filters, channels, kernel, kernel)
        In the data type to compute in.
    bias : Tensor, shape (size − kernel + 1, size − kernel + 1, filters), float32
    """
    variants = {
        str(tiles): partial(_kernel_work, weight, bias, pool, size, tiles)
        for tiles in TILES
        if fits(tiles, weight, pool)
    }
    library = partial(library_work, weight, bias, pool, size)
    values = VIEWPOINTS * (bias.shape[0] // pool) ** 2 * weight.shape[0]
    shape = (*weight.shape, pool, size)
    return Step(f"convolution {number}", shape, values, variants | {"library": library})


def fits(tiles: Tiles, weight: Tensor, pool: int) -> bool:
    """Whether a configuration is one for these filters."""
    filters, channels, kernel, _ = weight.shape
    row = channels * (kernel + tiles.paired)
    if pool > 2 or row % tiles.step or (tiles.step < _STEP and row % _STEP == 0):
        return False
    if tiles.paired:
        return pool == 2 and 2 * filters == tiles.columns
    return tiles.columns == (64 if filters % 128 else 128) and filters % tiles.columns == 0


def step_ordered(weight: Tensor, step: int, paired: bool) -> Tensor:
    """Filters as a matrix (values of a window, columns), in the order of the kernel's steps.

    These go down the window's rows first. Where columns are `paired`, a filter stands in the matrix's left
    half for the left one, and one pixel farther right in its right half.
    """
    taps = weight.permute(2, 3, 1, 0)
    if paired:
        left = functional.pad(taps, (0, 0, 0, 0, 0, 1))
        taps = torch.cat([left, left.roll(1, dims=1)], dim=-1)
    kernel, columns = taps.shape[0], taps.shape[-1]
    return taps.reshape(kernel, -1, step, columns).transpose(0, 1).reshape(-1, columns).contiguous()


def _kernel_work(weight: Tensor, bias: Tensor, pool: int, size: int, tiles: Tiles) -> Work:
    filters, channels, kernel, _ = weight.shape
    ordered = step_ordered(weight, tiles.step, tiles.paired)
    positions = (bias.shape[0] // pool) ** 2
    rows = tiles.rows // (pool if tiles.paired else pool * pool)
    columns = ordered.shape[1] // tiles.columns
    registers = {"maxnreg": tiles.registers} if tiles.registers else {}
    if tiles.paired:
        side = bias.shape[0] // 2
        bias = bias[:, : 2 * side].reshape(-1, side, 2 * filters)
    bias = bias.contiguous()
    launched = ThroughL1(convolution_kernel, loads=2) if tiles.l1 else convolution_kernel

    def work(maps: Tensor, pooled: Tensor, sets: int) -> None:
        total = VIEWPOINTS * sets * positions
        launched[(blocks(total, rows) * columns,)](
            maps,
            ordered,
            bias,
            pooled,
            total,
            len(ordered) // tiles.step,
            SIZE=size,
            CHANNELS=channels,
            KERNEL=kernel,
            FILTERS=filters,
            POOL=pool,
            PAIRED=tiles.paired,
            ROWS=tiles.rows,
            COLUMNS=tiles.columns,
            STEP=tiles.step,
            STAGES=tiles.stages,
            num_warps=tiles.warps,
            **registers,
        )

    return work
