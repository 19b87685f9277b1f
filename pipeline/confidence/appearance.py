"""What a picture looks like to a network's first layer, before any galaxy is recognised in it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry import CROP_PIXELS, IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler
from pipeline.network.layers import UntiedConvolution

_DIMMEST, _SMOOTHEST = 1e-3, 1e-4
"""What is added before a logarithm is taken."""

_STRIDE = 2
"""Every so manyth position of rows and columns tells as much."""

_SMALLEST = 0.02
_SKY_SHARE = 0.7
"""Share of a crop's pixels that are taken for sky."""

_LIGHT_SHARES = (0.2, 0.5, 0.8)
_HALF = _LIGHT_SHARES.index(0.5)


class Appearance(nn.Module):
    """Statistics of the pixels that a network sees: its first filters' mean responses, detail, and size.

    Learnt filters respond to the colours, sharpness and noise of the camera they were trained on, wherever in
    the picture. They tell surveys apart better than the last hidden layer, which is trained to forget such.

    Parameters
    ----------
    network
        On the device where regions are.
    """

    offsets: Tensor
    filters: Tensor
    bias: Tensor
    order: Tensor
    radii: Tensor

    def __init__(self, network: ViewpointNetwork) -> None:
        super().__init__()
        first = cast(UntiedConvolution, network.convolutions[0])
        grid = ViewpointSampler().to(network.device).grid([IDENTITY])
        self.register_buffer("offsets", grid[0, 0, 0], persistent=False)
        self.register_buffer("filters", first.weight.detach().float(), persistent=False)
        self.register_buffer("bias", first.bias.detach().float().flatten(0, 1).mean(0), persistent=False)
        place = torch.arange(CROP_PIXELS, dtype=torch.float32) - (CROP_PIXELS - 1) / 2
        radii, order = torch.sort(torch.hypot(place[:, None], place[None]).flatten(), stable=True)
        self.register_buffer("order", order.to(network.device), persistent=False)
        self.register_buffer("radii", radii.to(network.device), persistent=False)

    @torch.inference_mode()
    def forward(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        """Statistics of pictures.

        Returns
        -------
        statistics : Tensor, shape (n, filters + 9), float32
            Logarithms: of the mean response of each filter; of the standard deviation and the median of what
            a 3 × 3 mean leaves of each colour; and of the radii that hold 20, 50 and 80 % of the light.
        size : Tensor, shape (n,), float32
            Radius that holds half of the light, as a share of half the crop's width.
        """
        crops = self.crops(regions)
        responses = functional.relu(functional.conv2d(crops, self.filters, self.bias, stride=_STRIDE))
        detail = (crops[:, :, ::_STRIDE, ::_STRIDE] - functional.avg_pool2d(crops, 3, _STRIDE, 1)).flatten(2)
        radii = self._radii(crops)
        statistics = [
            torch.log(responses.mean(dim=(2, 3)) + _DIMMEST),
            torch.log(detail.std(dim=2) + _SMOOTHEST),
            torch.log(detail.abs().median(dim=2).values + _SMOOTHEST),
            torch.log(radii + _SMALLEST),
        ]
        return torch.cat(statistics, dim=1), radii[:, _HALF]

    def crops(self, regions: RegionBatch) -> Tensor:
        """The pixels of the first crop (n, 3, 69, 69), as `ViewpointSampler` samples them.

        It looks at all of a region; here just the pixels that are needed are read.
        """
        side = regions.pixels.shape[1]
        place = regions.center[:, None] + regions.scale[:, None, None] * self.offsets
        place = place.clamp(0, side - 1 - 1e-6)
        corner = place.floor()
        x, y = (place - corner).float()[..., None].unbind(2)
        rows = torch.arange(len(regions), device=corner.device)[:, None] * side**2
        first = ((corner[:, :, 1] * side + corner[:, :, 0]).long() + rows).flatten()
        pixels = regions.pixels.reshape(-1, 3)
        here, right, below, across = (
            pixels.index_select(0, first + step).view(*rows.shape[:1], -1, 3).float()
            for step in (0, 1, side, side + 1)
        )
        mean = torch.lerp(torch.lerp(here, right, x), torch.lerp(below, across, x), y)
        levels = 255.0 if pixels.dtype == torch.uint8 else 1.0
        sampled: Tensor = (mean / levels).transpose(1, 2).unflatten(2, (CROP_PIXELS, CROP_PIXELS))
        return sampled.contiguous()

    def _radii(self, crops: Tensor) -> Tensor:
        """Radii within which shares of the light above the sky are, shape (n, shares)."""
        light = crops.mean(dim=1).flatten(1)
        sky = light.kthvalue(int(_SKY_SHARE * light.shape[1]), dim=1, keepdim=True).values
        above = (light - sky).clamp(min=0)[:, self.order]
        grown = above.cumsum(dim=1)
        inside = [(grown < share * grown[:, -1:]).sum(dim=1) for share in _LIGHT_SHARES]
        places = torch.stack(inside, dim=1).clamp(max=len(self.radii) - 1)
        shares: Tensor = self.radii[places] / ((CROP_PIXELS - 1) / 2)
        return shares
