"""From uint8 regions to viewpoints: the one resampling, done where the model is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry import CROP_PIXELS, PATCH_PIXELS, VIEWPOINTS, Transform, crop_maps, viewpoint_pixels


@dataclass(frozen=True)
class RegionBatch:
    """Square image regions around galaxies.

    Attributes
    ----------
    pixels : Tensor, shape (n, side, side, 3), uint8 (or floating, in [0, 1])
        Large enough that no transform in use looks outside; beyond the border it is reflected.
    center : Tensor, shape (n, 2), float64
        (x, y) of each galaxy's centre in its region, in pixels.
    scale : Tensor, shape (n,), float64
        Image pixels per frame pixel (1 for a 424-pixel Galaxy Zoo frame).
    """

    pixels: Tensor
    center: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __getitem__(self, rows: slice) -> RegionBatch:
        return RegionBatch(self.pixels[rows], self.center[rows], self.scale[rows])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> RegionBatch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pinned(self) -> RegionBatch:
        """The same batch in memory that a GPU can copy from by itself."""
        return self._each(Tensor.pin_memory)

    def padded(self, size: int) -> RegionBatch:
        """The batch with its last galaxy repeated up to a size; an empty one stays so."""
        rows = torch.arange(size if len(self) else 0).clamp(max=len(self) - 1)
        return self if size <= len(self) else self._each(lambda tensor: tensor[rows.to(tensor.device)])

    def _each(self, change: Callable[[Tensor], Tensor]) -> RegionBatch:
        return RegionBatch(change(self.pixels), change(self.center), change(self.scale))


class ViewpointSampler(nn.Module):
    """Samples the two crops of each galaxy under a transform, and cuts them into sixteen viewpoints."""

    offsets: Tensor
    pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        y, x = np.mgrid[:CROP_PIXELS, :CROP_PIXELS].reshape(2, -1).astype(np.float64)
        offsets = crop_maps() @ np.stack([x, y, np.ones_like(x)])
        self.register_buffer("offsets", torch.from_numpy(np.moveaxis(offsets, 1, 2)), persistent=False)
        self.register_buffer(
            "pixels", torch.from_numpy(viewpoint_pixels().reshape(-1)).contiguous(), persistent=False
        )

    def forward(
        self, regions: RegionBatch, transforms: Sequence[Transform], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Viewpoints of every galaxy under every transform.

        Returns
        -------
        Tensor, shape (n, transforms, 16, 3, 45, 45), of `dtype`, in [0, 1]
            Sampled in float32, whatever the `dtype`.
        """
        return self.viewpoints(self.sample(regions, self.grid(transforms)).to(dtype))

    def grid(self, transforms: Sequence[Transform]) -> Tensor:
        """Frame offsets of every crop pixel under transforms, shape (1, transforms, 2, 69², 2), float64."""
        linear = torch.from_numpy(np.stack([t.matrix() for t in transforms])).to(self.offsets)
        return torch.einsum("tij,cpj->tcpi", linear, self.offsets)[None]

    def crops(self, regions: RegionBatch, linear: Tensor, shift: Tensor | None = None) -> Tensor:
        """Sample crops A and B bilinearly, without anti-aliasing.

        Parameters
        ----------
        linear : Tensor, shape (n, transforms, 2, 2), float64
            Linear part of each transform, crop offset → frame offset.
        shift : Tensor, shape (n, transforms, 2), float64, optional
            Translation in frame pixels.

        Returns
        -------
        Tensor, shape (n, transforms, 3, 2, 69, 69), float32
        """
        offsets = torch.einsum("ntij,cpj->ntcpi", linear, self.offsets)
        if shift is not None:
            offsets = offsets + shift[:, :, None, None, :]
        return self.sample(regions, offsets)

    def sample(self, regions: RegionBatch, offsets: Tensor) -> Tensor:
        """Sample as `crops` does, at frame offsets (n or 1, transforms, 2, 69², 2) from each centre."""
        n, transforms = len(regions), offsets.shape[1]
        side = regions.pixels.shape[1]
        position = regions.center[:, None, None, None, :] + regions.scale[:, None, None, None, None] * offsets
        grid = (position * (2.0 / (side - 1)) - 1.0).to(torch.float32)
        pixels = regions.pixels.permute(0, 3, 1, 2)
        image = pixels.to(torch.float32) / 255.0 if pixels.dtype == torch.uint8 else pixels.to(torch.float32)
        sampled = functional.grid_sample(
            image,
            grid.reshape(n, transforms * 2 * CROP_PIXELS, CROP_PIXELS, 2),
            mode="bilinear",
            padding_mode="reflection",
            align_corners=True,
        )
        return sampled.reshape(n, 3, transforms, 2, CROP_PIXELS, CROP_PIXELS).transpose(1, 2)

    def viewpoints(self, crops: Tensor) -> Tensor:
        """Cut crops (…, 3, 2, 69, 69) into viewpoints (…, 16, 3, 45, 45), channels last in memory."""
        pixels = crops.flatten(-3).movedim(-2, -1).contiguous()
        chosen = pixels.index_select(-2, self.pixels)
        patches: Tensor = chosen.unflatten(-2, (VIEWPOINTS, PATCH_PIXELS, PATCH_PIXELS))
        return patches.movedim(-1, -3)
