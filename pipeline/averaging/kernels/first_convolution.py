"""The first convolution, without cutting viewpoints.

The corner of a crop is seen by two viewpoints, in two orientations. Instead of its pixels the filters and
biases are turned, so that both share the windows that are loaded. Two neighbouring columns of the map share
them too: what a filter gives at either is a channel of its own, with the filter one pixel farther right in a
window that is one pixel wider. A row of the product is then a window, and its columns are (right or left
column, orientation, filter). Bias, maximum over 2 × 2 and ReLU happen in registers.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from pipeline.averaging.kernels.l1 import ThroughL1
from pipeline.averaging.kernels.largest import larger, largest
from pipeline.averaging.kernels.layout import CROP, CROPS, PITCH, PIXEL, Step, Work, blocks, power_of_two
from pipeline.averaging.kernels.library import convolved, cut, library_work, with_fourth_channel
from pipeline.averaging.kernels.turning import turned
from pipeline.geometry import CROP_PIXELS, PATCH_PIXELS, VIEWPOINTS


@triton.jit(do_not_specialize=["groups", "each"])
def first_convolution_kernel(
    crops, weight, bias, places, maps, groups, each,
    CROP: tl.constexpr, PITCH: tl.constexpr, PIXEL: tl.constexpr, CORNER: tl.constexpr, SIDE: tl.constexpr,
    ROW: tl.constexpr, LARGE: tl.constexpr, SMALL: tl.constexpr, FILTERS: tl.constexpr, CROPS: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Sixteen pooled positions of one corner, in `each` groups of CROPS crops, one after the other.

    Filters and biases stay on the chip. Rows m are (crop, q // 8, dy, q % 8) of the position q: the two rows
    of pixels, dy, that are pooled differ in bit 3, and are held by the same thread.
    """
    ROWS: tl.constexpr = CROPS * 32
    COLUMNS: tl.constexpr = 4 * FILTERS
    TILES: tl.constexpr = (SIDE * SIDE + 15) // 16
    tile = tl.program_id(0) % TILES
    corner = tl.program_id(0) // TILES
    m = tl.arange(0, ROWS)
    q = tl.minimum(tile * 16 + (m // 16) % 2 * 8 + m % 8, SIDE * SIDE - 1)
    y = corner // 2 * CORNER + 2 * (q // SIDE) + (m // 8) % 2
    x = corner % 2 * CORNER + 2 * (q % SIDE)
    at = tl.multiple_of((m // 32) * CROP + (y * PITCH + x) * PIXEL, 8)
    # The values of a window are two blocks: tensors have powers of two.
    k1, k2 = tl.arange(0, LARGE), LARGE + tl.arange(0, SMALL)
    at1 = at[:, None] + (k1 // ROW * (PITCH * PIXEL) + k1 % ROW)[None, :]
    at2 = at[:, None] + (k2 // ROW * (PITCH * PIXEL) + k2 % ROW)[None, :]
    n = tl.arange(0, COLUMNS)
    weight += corner * ((LARGE + SMALL) * COLUMNS)
    weight1 = tl.load(weight + k1[:, None] * COLUMNS + n[None, :])
    weight2 = tl.load(weight + k2[:, None] * COLUMNS + n[None, :])
    start = tl.load(bias + (tl.program_id(0) * 32 + m % 32)[:, None] * COLUMNS + n[None, :])
    # Where the pooled values go: into the maps of the corner's two viewpoints, whose axes are turned.
    r = tl.arange(0, ROWS // 2)
    j = tl.arange(0, 2 * FILTERS)
    pooled = (tile * 16 + r % 16)[:, None]
    place = places + corner * 8 + j // FILTERS * 4
    viewpoint = tl.load(place)[None, :]
    position = tl.load(place + 1)[None, :] + pooled // SIDE * tl.load(place + 2)[None, :]
    position += pooled % SIDE * tl.load(place + 3)[None, :]
    crop = (r // 16)[:, None]
    to = (crop // 2 * 16 + crop % 2 * 8 + viewpoint) * (SIDE * SIDE * FILTERS) + position * FILTERS
    to = tl.max_contiguous(tl.multiple_of(to + (j % FILTERS)[None, :], (1, FILTERS)), (1, FILTERS))
    begin = tl.program_id(1) * each
    for group in tl.range(begin, tl.minimum(begin + each, groups), num_stages=STAGES):
        source = crops + tl.cast(group, tl.int64) * (CROPS * CROP)
        window1 = tl.load(source + at1)
        window2 = tl.load(source + at2)
        total = tl.dot(window1, weight1, start)
        total = tl.dot(window2, weight2, total)
        total = largest(tl.reshape(total, (ROWS // 16, 2, 8, COLUMNS)), 1)
        total = largest(tl.reshape(total, (ROWS // 2, 2, 2 * FILTERS)), 1)
        total = larger(total, 0.0).to(maps.dtype.element_ty)
        target = maps + tl.cast(group, tl.int64) * (CROPS // 2 * 16 * SIDE * SIDE * FILTERS)
        if SIDE * SIDE % 16 == 0:
            tl.store(target + to, total)
        else:
            tl.store(target + to, total, mask=pooled < SIDE * SIDE)


class Tiles(NamedTuple):
    """A configuration of the kernel.

    Attributes
    ----------
    crops, warps, stages
        Crops at once, warps of a program, windows loaded ahead.
    l1
        Whether windows are copied through the first-level cache.
    """

    crops: int
    warps: int
    stages: int
    l1: bool = False

    def __str__(self) -> str:
        return f"{self.crops} crops, {self.warps} warps, {self.stages} stages" + ", through L1" * self.l1


TILES = (
    Tiles(2, 4, 2),
    Tiles(2, 4, 2, l1=True),
    Tiles(4, 8, 3, l1=True),
    Tiles(4, 8, 2, l1=True),
    Tiles(4, 8, 1),
)


class Window(NamedTuple):
    """Values of a window: `row` in each of its rows, together two blocks of `large` and `small`."""

    row: int
    large: int
    small: int


def window_of(kernel: int) -> Window | None:
    """The window of two neighbouring columns; None where two powers of two don't make it up."""
    row = blocks(kernel + 1, 2) * 2 * PIXEL
    large = power_of_two(row * kernel + 1) // 2
    small = row * kernel - large
    return Window(row, large, small) if small >= 16 and small == power_of_two(small) else None


def first_convolution(weight: Tensor, bias: Tensor, pool: int) -> Step:
    """The first convolution, from crops to maps (viewpoints, side, side, filters).

    Parameters
    ----------
    weight : Tensor, shape (filters, 3, kernel, kernel)
        In the data type to compute in.
    bias : Tensor, shape (size, size, filters), float32
    """
    filters, _, kernel, _ = weight.shape
    size = bias.shape[0]
    window = window_of(kernel)
    variants = {}
    # The two orientations pool the same pixels only where pooling leaves none over.
    if window and pool == 2 and size % 2 == 0 and 4 <= filters <= 64 and filters == power_of_two(filters):
        variants = {str(tiles): partial(_kernel_work, weight, bias, window, tiles) for tiles in TILES}
    library = partial(library_work, with_fourth_channel(weight), bias, pool, PATCH_PIXELS, cut)
    values = VIEWPOINTS * (size // pool) ** 2 * filters
    return Step("convolution 1", (*weight.shape, pool), values, variants | {"library": library})


def _kernel_work(weight: Tensor, bias: Tensor, window: Window, tiles: Tiles) -> Work:
    filters, side = weight.shape[0], bias.shape[0] // 2
    by_corner = turned(weight, bias, window.row)
    launched = ThroughL1(first_convolution_kernel, loads=1) if tiles.l1 else first_convolution_kernel

    def work(crops: Tensor, maps: Tensor, sets: int) -> None:
        groups = blocks(CROPS * sets, tiles.crops)
        each = blocks(groups, max(1, min(32, groups // 8)))
        launched[(4 * by_corner.bias.shape[1], blocks(groups, each))](
            crops,
            by_corner.weight,
            by_corner.bias,
            by_corner.places,
            maps,
            groups,
            each,
            CROP=CROP,
            PITCH=PITCH,
            PIXEL=PIXEL,
            CORNER=CROP_PIXELS - PATCH_PIXELS,
            SIDE=side,
            ROW=window.row,
            LARGE=window.large,
            SMALL=window.small,
            FILTERS=filters,
            CROPS=tiles.crops,
            STAGES=tiles.stages,
            num_warps=tiles.warps,
        )

    return work


def first_convolved(crops: Tensor, weight: Tensor, bias: Tensor, pool: int) -> Tensor:
    """What the kernel leaves, in plain torch.

    Parameters
    ----------
    crops : Tensor, shape (2 · sets, 69, 72, 4), float32

    Returns
    -------
    Tensor, shape (16 · sets, side, side, filters), float32
    """
    return convolved(cut(crops), with_fourth_channel(weight), bias, pool)
