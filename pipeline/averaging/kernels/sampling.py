"""Regions to crops: every pixel's place is computed where it is sampled, and no grid is kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from pipeline.averaging.kernels.layout import CROPS, PITCH, PIXEL, blocks
from pipeline.geometry import CROP_PIXELS, Transform, crop_maps
from pipeline.network import RegionBatch, ViewpointSampler

_PACKED_AT_ONCE = 2048
_SAMPLED_AT_ONCE = 512


@triton.jit(do_not_specialize=["count"])
def pack_kernel(pixels, words, count, BLOCK: tl.constexpr):
    """Three bytes a pixel → one word of four, the last of which is 0."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    i = tl.arange(0, BLOCK)
    inside = start + i < count
    at = pixels + start * 3 + i * 3
    red = tl.load(at, mask=inside, other=0).to(tl.int32)
    green = tl.load(at + 1, mask=inside, other=0).to(tl.int32)
    blue = tl.load(at + 2, mask=inside, other=0).to(tl.int32)
    tl.store(words + start + i, red | (green << 8) | (blue << 16), mask=inside)


@triton.jit
def _reflected(x, last):
    """A place within 0 … last: beyond either end the image is seen in a mirror, as often as it takes."""
    period = tl.maximum(2 * last, 1.0)
    x = tl.abs(x)
    x = x - period * tl.floor(x / period)
    return tl.minimum(tl.maximum(last - tl.abs(last - x), 0.0), last)


@triton.jit
def _color(source, a, b, c, d, wa, wb, wc, wd, inside, COLOR: tl.constexpr, PACKED: tl.constexpr):
    """Red, green or blue of four neighbours, weighed: a … d are their words, or else their places."""
    if PACKED:
        shift: tl.constexpr = 8 * COLOR
        a, b, c, d = (a >> shift) & 255, (b >> shift) & 255, (c >> shift) & 255, (d >> shift) & 255
    else:
        a = tl.load(source + a * 3 + COLOR, mask=inside, other=0)
        b = tl.load(source + b * 3 + COLOR, mask=inside, other=0)
        c = tl.load(source + c * 3 + COLOR, mask=inside, other=0)
        d = tl.load(source + d * 3 + COLOR, mask=inside, other=0)
    return wa * a.to(tl.float32) + wb * b.to(tl.float32) + wc * c.to(tl.float32) + wd * d.to(tl.float32)


@triton.jit
def _bits(x, SHORT: tl.constexpr):
    return x.to(SHORT).to(tl.int16, bitcast=True).to(tl.int64) & 0xFFFF


@triton.jit(do_not_specialize=["side"])
def sampling_kernel(
    source, center, scale, matrices, crops, side, most,
    VIEWS: tl.constexpr, WIDTH: tl.constexpr, PITCH: tl.constexpr, SHORT: tl.constexpr,
    PACKED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Bilinear samples of one of a galaxy's VIEWS crops; 64 bits are a pixel of four short floats."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    view = tl.program_id(1)
    galaxy = tl.program_id(2).to(tl.int64)
    zoom = tl.load(scale + galaxy)
    column, row = pixel % PITCH, pixel // PITCH
    u, v = (column - WIDTH // 2).to(tl.float32), (row - WIDTH // 2).to(tl.float32)
    matrix = matrices + view * 4
    dx = tl.load(matrix) * u + tl.load(matrix + 1) * v
    dy = tl.load(matrix + 2) * u + tl.load(matrix + 3) * v
    last = (side - 1).to(tl.float32)
    x = _reflected(tl.load(center + galaxy * 2) + zoom * dx, last)
    y = _reflected(tl.load(center + galaxy * 2 + 1) + zoom * dy, last)
    left, top = tl.floor(x), tl.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = left.to(tl.int32), top.to(tl.int32)
    x1, y1 = tl.minimum(x0 + 1, side - 1), tl.minimum(y0 + 1, side - 1)
    wa, wb = (1 - fx) * (1 - fy) / most, fx * (1 - fy) / most
    wc, wd = (1 - fx) * fy / most, fx * fy / most
    inside = (column < WIDTH) & (row < WIDTH)
    a, b, c, d = y0 * side + x0, y0 * side + x1, y1 * side + x0, y1 * side + x1
    if PACKED:
        source += galaxy * side * side
        a = tl.load(source + a, mask=inside, other=0)
        b = tl.load(source + b, mask=inside, other=0)
        c = tl.load(source + c, mask=inside, other=0)
        d = tl.load(source + d, mask=inside, other=0)
    else:
        source += galaxy * side * side * 3
    red = _color(source, a, b, c, d, wa, wb, wc, wd, inside, 0, PACKED)
    green = _color(source, a, b, c, d, wa, wb, wc, wd, inside, 1, PACKED)
    blue = _color(source, a, b, c, d, wa, wb, wc, wd, inside, 2, PACKED)
    value = _bits(red, SHORT) | (_bits(green, SHORT) << 16) | (_bits(blue, SHORT) << 32)
    to = crops + (galaxy * VIEWS + view) * (WIDTH * PITCH) + pixel
    tl.store(to, tl.where(inside, value, 0), mask=row < WIDTH)


class Sampling:
    """Samples the two crops of each galaxy under each transform into a buffer.

    Parameters
    ----------
    dtype
        Of the crops: float16 or bfloat16.
    """

    def __init__(self, transforms: Sequence[Transform], dtype: torch.dtype, device: torch.device) -> None:
        self.matrices = crop_matrices(transforms).to(device)
        self.dtype = dtype
        self.crops = CROPS * len(transforms)

    def __call__(self, regions: RegionBatch, crops: Tensor) -> None:
        """Sample regions on the device; crops of one galaxy lie behind each other: see `sampled`."""
        pixels, side = regions.pixels.contiguous(), regions.pixels.shape[1]
        packed = pixels.dtype == torch.uint8
        source = _packed(pixels) if packed else pixels
        grid = (blocks(CROP_PIXELS * PITCH, _SAMPLED_AT_ONCE), self.crops, len(regions))
        sampling_kernel[grid](
            source,
            regions.center.to(torch.float32).contiguous(),
            regions.scale.to(torch.float32).contiguous(),
            self.matrices,
            crops.view(torch.int64),
            side,
            255.0 if packed else 1.0,
            VIEWS=self.crops,
            WIDTH=CROP_PIXELS,
            PITCH=PITCH,
            SHORT=tl.bfloat16 if self.dtype == torch.bfloat16 else tl.float16,
            PACKED=packed,
            BLOCK=_SAMPLED_AT_ONCE,
            num_warps=4,
        )


def _packed(pixels: Tensor) -> Tensor:
    words = torch.empty(pixels.shape[:-1], dtype=torch.int32, device=pixels.device)
    grid = (blocks(words.numel(), _PACKED_AT_ONCE),)
    pack_kernel[grid](pixels, words, words.numel(), BLOCK=_PACKED_AT_ONCE, num_warps=8)
    return words


def crop_matrices(transforms: Sequence[Transform]) -> Tensor:
    """Linear maps of crop offsets from a crop's centre to frame offsets, (transforms, 2, 2, 2), float32."""
    linear = np.stack([transform.matrix() for transform in transforms])
    return torch.from_numpy(np.einsum("tij,cjk->tcik", linear, crop_maps()[:, :, :2])).float().contiguous()


def sampled(regions: RegionBatch, transforms: Sequence[Transform]) -> Tensor:
    """What the kernel leaves, in plain torch.

    Returns
    -------
    Tensor, shape (n, transforms, 2, 69, 72, 4), float32
    """
    sampler = ViewpointSampler().to(regions.pixels.device)
    crops = sampler.sample(regions, sampler.grid(transforms)).movedim(2, -1)
    return functional.pad(crops, (0, PIXEL - crops.shape[-1], 0, PITCH - CROP_PIXELS))
