"""A network that finds points: galaxies' convolutions, a feature pyramid, and a map of centres.

References
----------
Zhou, Wang & Krähenbühl 2019, Objects as points, arXiv:1904.07850; Lin et al. 2017, Feature pyramid networks
for object detection, CVPR; Popp et al. 2024, Transfer learning for galaxy feature detection, RASTI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.network import RegionBatch, ViewpointNetwork
from pipeline.network.layers import UntiedConvolution

SIDE, STEP = 112, 3.0
"""Pixels of a picture as a detector sees it, and frame pixels from one to the next."""

CELL = 2 * STEP
"""Width of a cell of the map of centres, in frame pixels."""

_LAYERS = ((3, 32, 6, True), (32, 64, 5, True), (64, 128, 3, False), (128, 128, 3, True))
"""Channels in and out, kernel, and whether pooling follows, of each convolution: those of `compact`."""

FEATURES = 48
"""Channels of each level of a pyramid."""

_RARE = -4.0
_USUAL_WIDTH = 16.0


@dataclass(frozen=True)
class Found:
    """Clumps that were found in one galaxy, the most probable first.

    Attributes
    ----------
    x, y : ndarray, shape (n,), float32
        Frame pixels from the galaxy's centre, right and down.
    width : ndarray, shape (n,), float32
        Width of the box about each, in frame pixels.
    probability : ndarray, shape (n,), float32
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    width: NDArray[np.float32]
    probability: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, kept: NDArray[np.bool_]) -> Found:
        return Found(self.x[kept], self.y[kept], self.width[kept], self.probability[kept])


class Detector(Protocol):
    """What finds clumps: pictures in, positions, sizes and probabilities out."""

    def loss(self, pictures: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """How far it is from what it is to say of pictures (n, 3, 112, 112), see `target_maps`."""

    def find(self, pictures: Tensor, least: float) -> list[Found]:
        """Clumps of each picture (n, 3, 112, 112), float32 in [0, 1], that are at least so probable."""


def sample_pictures(regions: RegionBatch) -> Tensor:
    """Pictures as a detector sees them, (n, 3, 112, 112), float32 in [0, 1]: the middle of galaxies' frames.

    Each pixel is the mean of four samples, so that points between samples aren't lost.
    """
    device, fine = regions.pixels.device, 2 * SIDE
    steps = (torch.arange(fine, device=device, dtype=torch.float64) - (fine - 1) / 2) * (STEP / 2)
    last = regions.pixels.shape[1] - 1
    axes = (regions.center[:, :, None] + regions.scale[:, None, None] * steps) * (2.0 / last) - 1.0
    x, y = (axes[:, i].to(torch.float32) for i in (0, 1))
    grid = torch.stack([x[:, None, :].expand(-1, fine, -1), y[:, :, None].expand(-1, -1, fine)], dim=-1)
    image = regions.pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    seen = functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)
    return functional.avg_pool2d(seen, 2)


class Pyramid(nn.Module):
    """The convolutions of the network that classifies, and a feature pyramid over three of them."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, kernel) for a, b, kernel, _ in _LAYERS)
        self.laterals = nn.ModuleList(nn.Conv2d(channels, FEATURES, 1) for channels in (32, 64, 128))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @torch.no_grad()
    def take_convolutions(self, network: ViewpointNetwork) -> None:
        """Begin with the convolutions of a network that was trained on galaxies.

        Its biases, one a position, are averaged: a detector looks at every position alike.

        Raises
        ------
        ValueError
            If it has other convolutions.
        """
        own = list(zip(self.convolutions, network.convolutions, strict=True))
        for mine, other in own:
            assert isinstance(mine, nn.Conv2d)
            assert isinstance(other, UntiedConvolution)
            if mine.weight.shape != other.weight.shape or mine.bias is None:
                raise ValueError(f"{network.spec.name} has other convolutions than a detector")
            mine.weight.copy_(other.weight)
            mine.bias.copy_(other.bias.mean(dim=(0, 1)))

    def levels(self, pictures: Tensor) -> list[Tensor]:
        """Features of pictures (n, 3, 112, 112) at a half, a quarter and an eighth of their width."""
        levels, x = [], pictures
        for layer, (_, _, kernel, pooled) in zip(self.convolutions, _LAYERS, strict=True):
            before = (kernel - 1) // 2
            x = functional.relu(layer(functional.pad(x, (before, kernel - 1 - before) * 2)))
            if pooled:
                x = functional.max_pool2d(x, 2)
                levels.append(x)
        tops: list[Tensor] = []
        for lateral, level in zip(reversed(self.laterals), reversed(levels), strict=True):
            own = lateral(level)
            tops.append(own + functional.interpolate(tops[-1], scale_factor=2.0) if tops else own)
        return tops[::-1]


class CentreDetector(Pyramid):
    """Finds clumps as peaks of a map of centres (see `Detector`)."""

    def __init__(self) -> None:
        super().__init__()
        self.blend = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.last = nn.Conv2d(FEATURES, 4, 1)
        bias = self.last.bias
        assert bias is not None
        with torch.no_grad():
            bias.zero_()
            bias[0] = _RARE  # nearly all cells are empty

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 3, 112, 112) to maps (n, 4, 56, 56).

        They are: the logit of a centre in the cell, its offset from the cell's middle (x, y, in cells), and
        the logarithm of its box's width over 16 frame pixels.
        """
        finest = functional.relu(self.levels(pictures)[0])
        maps: Tensor = self.last(functional.relu(self.blend(finest)))
        return maps

    def loss(self, pictures: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """See `Detector`."""
        return detection_loss(self(pictures), targets, counts)

    @torch.inference_mode()
    def find(self, pictures: Tensor, least: float) -> list[Found]:
        """See `Detector`."""
        return peaks_of(self(pictures.to(self.device)), least)


def peaks_of(maps: Tensor, least: float, most: int = 64) -> list[Found]:
    """The peaks of maps (n, 4, cells, cells): at most so many of each galaxy."""
    logits = maps[:, 0].float()  # probabilities near 1 are the same in float32
    highest = functional.max_pool2d(logits[:, None], 3, stride=1, padding=1)[:, 0]
    probability = torch.sigmoid(logits)
    peak = (logits == highest) & (probability >= least)
    found = []
    for heat, is_peak, other in zip(probability, peak, maps[:, 1:].float(), strict=True):
        rows, columns = torch.nonzero(is_peak, as_tuple=True)
        order = torch.argsort(heat[rows, columns], descending=True, stable=True)[:most]
        rows, columns = rows[order], columns[order]
        middle = (heat.shape[0] - 1) / 2
        values = other[:, rows, columns]
        found.append(
            Found(
                *(
                    part.cpu().numpy().astype(np.float32)
                    for part in (
                        (columns - middle + values[0]) * CELL,
                        (rows - middle + values[1]) * CELL,
                        torch.exp(values[2].clamp(-2, 2)) * _USUAL_WIDTH,
                        heat[rows, columns],
                    )
                )
            )
        )
    return found


def target_maps(
    places: NDArray[np.float64], widths: NDArray[np.float64], unknown: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a detector is to say of a galaxy: maps (4, 56, 56), and how much each cell counts (56, 56).

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        (x, y) of its clumps, frame pixels from the centre.
    widths : ndarray, shape (n,)
        Of their boxes.
    unknown : ndarray, shape (m, 2)
        Places about which, to so many frame pixels, nobody knows what is there: they don't count.

    Notes
    -----
    The first map is 1 in the cell of a clump, and falls off as a Gaussian around it.
    """
    cells = SIDE // 2
    middle = (cells - 1) / 2
    maps = np.zeros((4, cells, cells), np.float32)
    counts = np.ones((cells, cells), np.float32)
    rows, columns = np.ogrid[:cells, :cells]
    for x, y in unknown / CELL + middle:
        counts[np.hypot(rows - y, columns - x) < radius / CELL] = 0
    for (x, y), width in zip(places / CELL + middle, widths, strict=True):
        row, column = round(y), round(x)
        if not (0 <= row < cells and 0 <= column < cells):
            continue
        near = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2).astype(np.float32)
        maps[0] = np.maximum(maps[0], near)
        maps[1:, row, column] = x - column, y - row, np.log(width / _USUAL_WIDTH)
        counts[np.hypot(rows - row, columns - column) < 2] = 1
    return maps, counts


def detection_loss(maps: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """The penalty-reduced focal loss of centres, and the L1 losses of offsets and widths, per clump."""
    logits, wanted = maps[:, 0], targets[:, 0]
    probability = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    centre = wanted == 1
    of_centres = -((1 - probability) ** 2) * torch.log(probability) * centre
    of_others = -((1 - wanted) ** 4) * probability**2 * torch.log(1 - probability) * ~centre
    count = centre.sum().clamp(min=1)
    focal = ((of_centres + of_others) * counts).sum() / count
    shape = ((maps[:, 1:] - targets[:, 1:]).abs() * centre[:, None]).sum() / count
    return focal + 0.3 * shape
