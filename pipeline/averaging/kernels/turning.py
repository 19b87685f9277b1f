"""Filters and biases turned into the orientations in which viewpoints see the corners of a crop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.averaging.kernels.layout import PIXEL, blocks
from pipeline.geometry import CROP_PIXELS, VIEWPOINTS, viewpoint_pixels

_POSITIONS = 16
"""Pooled positions of a tile of the first convolution."""


class View(NamedTuple):
    """A viewpoint of crop A: its number, and the row and column in its corner of each of its pixels."""

    viewpoint: int
    y: NDArray[np.int64]
    x: NDArray[np.int64]


class Turned(NamedTuple):
    """What the kernel of the first convolution takes.

    Attributes
    ----------
    weight : Tensor, shape (4, kernel · row, 4 · filters)
        For each corner of a crop, values of a window → right or left column, orientation and filter.
    bias : Tensor, shape (4, tiles, 32, 4 · filters), float32
        In the order of the kernel's rows.
    places : Tensor, shape (4, 2, 4), int32
        Of each corner's two viewpoints: its number, where the pooled position at the corner's top left lies
        in its map, and how far apart there two neighbours in a column and in a row of the corner are.
    """

    weight: Tensor
    bias: Tensor
    places: Tensor


def corner_views() -> list[list[View]]:
    """The two viewpoints of each corner of crop A; those of crop B are the same, eight viewpoints later."""
    corners: list[list[View]] = [[], [], [], []]
    for viewpoint, pixels in enumerate(viewpoint_pixels()[: VIEWPOINTS // 2]):
        y, x = np.divmod(pixels, CROP_PIXELS)
        corner = 2 * (y.min() > 0) + (x.min() > 0)
        corners[corner].append(View(viewpoint, y - y.min(), x - x.min()))
    return corners


def turned(weight: Tensor, bias: Tensor, row: int) -> Turned:
    """Filters and biases of a first convolution that is pooled by 2, for each corner and orientation.

    Parameters
    ----------
    weight : Tensor, shape (filters, 3, kernel, kernel)
    bias : Tensor, shape (size, size, filters)
    row
        Values of a row of the window; 0 where a filter doesn't reach.
    """
    filters, colors, kernel, _ = weight.shape
    size, side = bias.shape[0], bias.shape[0] // 2
    taps, values = weight.permute(2, 3, 1, 0), bias.to(torch.float32)
    weights = weight.new_zeros(4, kernel, row // PIXEL, PIXEL, 2, 2, filters)
    biases = values.new_zeros(4, side * side, 2, 2, 2, filters)
    places = torch.zeros(4, 2, 4, dtype=torch.int32, device=weight.device)
    for corner, views in enumerate(corner_views()):
        for orientation, view in enumerate(views):
            top, left = _windows(view.y, kernel, size), _windows(view.x, kernel, size)
            at = view.y[:kernel, :kernel] - top[0, 0], view.x[:kernel, :kernel] - left[0, 0]
            in_corner = _moved(taps, *at)
            for column in range(2):
                weights[corner, :, column : column + kernel, :colors, column, orientation] = in_corner
            pairs = _moved(values, top, left).view(side, 2, side, 2, filters)
            biases[corner, :, :, :, orientation] = pairs.transpose(1, 2).flatten(0, 1)
            pooled = np.empty((side, side), np.int64)
            pooled[top[::2, ::2] // 2, left[::2, ::2] // 2] = np.arange(side * side).reshape(side, side)
            start, below, right = pooled[0, 0], pooled[1, 0] - pooled[0, 0], pooled[0, 1] - pooled[0, 0]
            places[corner, orientation] = torch.tensor([view.viewpoint, start, below, right])
    return Turned(weights.view(4, kernel * row, 4 * filters), _in_tiles(biases.flatten(3)), places)


def _windows(coordinates: NDArray[np.int64], kernel: int, size: int) -> NDArray[np.int64]:
    """The least coordinate, in the corner, of each window of a viewpoint."""
    end = kernel - 1
    return np.minimum(coordinates[:size, :size], coordinates[end : end + size, end : end + size])


def _moved(values: Tensor, y: NDArray[np.int64], x: NDArray[np.int64]) -> Tensor:
    """Values whose first two axes are a viewpoint's, at their places in the corner."""
    moved = torch.empty_like(values, memory_format=torch.contiguous_format)
    moved[torch.from_numpy(y), torch.from_numpy(x)] = values
    return moved


def _in_tiles(biases: Tensor) -> Tensor:
    """Biases (corner, position, dy, columns) in the order of the kernel's rows: q // 8, dy, q % 8 of a tile.

    The last tile is filled up with its last position.
    """
    positions = biases.shape[1]
    tiles = blocks(positions, _POSITIONS)
    at = torch.arange(tiles * _POSITIONS, device=biases.device).clamp(max=positions - 1)
    ordered = biases[:, at].view(4, tiles, 2, 8, 2, -1).transpose(3, 4)
    return ordered.reshape(4, tiles, 2 * _POSITIONS, -1).contiguous()
