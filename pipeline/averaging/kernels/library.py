"""A library's convolution, and one kernel for the bias of each position, ReLU and pooling after it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from pipeline.averaging.kernels.largest import larger
from pipeline.averaging.kernels.layout import CROPS, PITCH, PIXEL, Work, blocks, power_of_two
from pipeline.geometry import CROP_PIXELS, PATCH_PIXELS, VIEWPOINTS, viewpoint_pixels

_SETS_AT_ONCE = 256
"""So many sets are convolved together: their maps before pooling take memory that isn't kept."""


@triton.jit(do_not_specialize=["total"])
def pooling_kernel(
    maps, bias, pooled, total,
    SIZE: tl.constexpr, FILTERS: tl.constexpr, POOL: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Maps (viewpoints, SIZE, SIZE, FILTERS) → their pooled positions, one a row."""
    SIDE: tl.constexpr = SIZE // POOL
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    f = tl.arange(0, COLUMNS)[None, :]
    inside = (row < total)[:, None] & (f < FILTERS)
    position = row % (SIDE * SIDE)
    place = position // SIDE * POOL * SIZE + position % SIDE * POOL
    first = row // (SIDE * SIDE) * (SIZE * SIZE)
    most = tl.zeros((ROWS, COLUMNS), tl.float32)  # and ReLU with it
    for dy in tl.static_range(POOL):
        for dx in tl.static_range(POOL):
            at = (place + dy * SIZE + dx)[:, None] * FILTERS + f
            value = tl.load(maps + first[:, None] * FILTERS + at, mask=inside, other=0).to(tl.float32)
            most = larger(most, value + tl.load(bias + at, mask=inside, other=0))
    tl.store(pooled + row[:, None] * FILTERS + f, most.to(pooled.dtype.element_ty), mask=inside)


def pool_maps(maps: Tensor, bias: Tensor, pool: int, pooled: Tensor) -> None:
    """Write maps with their biases, pooled, after ReLU (see `convolved`)."""
    size, filters = bias.shape[1:]
    total = maps.shape[0] * (size // pool) ** 2
    rows = max(1, 4096 // power_of_two(filters))
    pooling_kernel[(blocks(total, rows),)](
        maps,
        bias,
        pooled,
        total,
        SIZE=size,
        FILTERS=filters,
        POOL=pool,
        ROWS=rows,
        COLUMNS=power_of_two(filters),
        num_warps=4,
    )


def library_work(
    weight: Tensor,
    bias: Tensor,
    pool: int,
    size: int,
    maps_of: Callable[[Tensor], Tensor] | None = None,
) -> Work:
    """A convolution of maps (viewpoints, size, size, channels), as `convolved`, by cuDNN.

    Parameters
    ----------
    maps_of
        What makes maps of the values in the source, if they aren't maps.
    """
    channels, positions = weight.shape[1], (bias.shape[0] // pool) ** 2
    each_set = CROPS * CROP_PIXELS * PITCH * PIXEL if maps_of else VIEWPOINTS * size * size * channels
    weight, bias = weight.contiguous(memory_format=torch.channels_last), bias.contiguous()
    result = VIEWPOINTS * positions * bias.shape[-1]

    def work(source: Tensor, target: Tensor, sets: int) -> None:
        for start in range(0, sets, _SETS_AT_ONCE):
            count = min(_SETS_AT_ONCE, sets - start)
            # Few shapes, for each of which cuDNN tries what is fastest: values of no set are convolved, too.
            computed = min(power_of_two(count), source.numel() // each_set - start)
            values = source[start * each_set :][: computed * each_set]
            maps = maps_of(values) if maps_of else values.view(-1, size, size, channels)
            with _tried_out():
                convolution = functional.conv2d(maps.permute(0, 3, 1, 2), weight).permute(0, 2, 3, 1)
            pool_maps(convolution.contiguous()[: VIEWPOINTS * count], bias, pool, target[start * result :])

    return work


@contextlib.contextmanager
def _tried_out() -> Iterator[None]:
    """CuDNN takes the algorithm that is fastest when tried, the first time that it sees a shape."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def with_fourth_channel(weight: Tensor) -> Tensor:
    """Filters (filters, 3, kernel, kernel) for pixels of four values, the last of which is 0."""
    return functional.pad(weight, (0, 0, 0, 0, 0, PIXEL - weight.shape[1]))


def cut(crops: Tensor) -> Tensor:
    """Crops, two for each set, cut into its viewpoints (16 · sets, 45, 45, 4)."""
    row, column = np.divmod(viewpoint_pixels().reshape(-1), CROP_PIXELS)  # rows of A, then those of B
    pixels = torch.from_numpy(row * PITCH + column).to(crops.device)
    by_set = crops.view(-1, CROPS * CROP_PIXELS * PITCH, PIXEL)
    return by_set.index_select(1, pixels).view(-1, PATCH_PIXELS, PATCH_PIXELS, PIXEL)


def convolved(maps: Tensor, weight: Tensor, bias: Tensor, pool: int) -> Tensor:
    """A convolution with the bias of each position, maximum over pooling windows, and ReLU, in plain torch.

    Parameters
    ----------
    maps : Tensor, shape (viewpoints, size, size, channels)
    weight : Tensor, shape (filters, channels, kernel, kernel)
    bias : Tensor, shape (size − kernel + 1, size − kernel + 1, filters)

    Returns
    -------
    Tensor, shape (viewpoints, side, side, filters)
    """
    convolution = functional.conv2d(maps.permute(0, 3, 1, 2), weight) + bias.permute(2, 0, 1)
    return functional.max_pool2d(convolution, pool).relu().permute(0, 2, 3, 1)
