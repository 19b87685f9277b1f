"""Random perturbations of the view, drawn anew each time a galaxy is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from pipeline.config import StrictModel
from pipeline.geometry import reach
from pipeline.network import RegionBatch, ViewpointSampler
from pipeline.training.regions import sent

_BRIGHTNESS_DIRECTION = (0.0148366, 0.01253134, 0.01040762)
"""Principal colour direction of the challenge's images, times its spread: added to R, G, B."""


class Augmentation(StrictModel):
    """How far a view is perturbed (Dieleman, Willett & Dambre 2015, section 7.4).

    Attributes
    ----------
    rotate
        Whether to rotate by an angle drawn uniformly from [0°, 360°).
    translation
        Largest shift along each axis, in frame pixels; drawn uniformly.
    zoom
        Largest zoom factor; the smallest is its inverse. Drawn log-uniformly.
    mirror
        Whether to mirror half of the views.
    brightness
        Standard deviation of the step along the principal colour direction.
    """

    rotate: bool = True
    translation: float = Field(default=4.0, ge=0)
    zoom: float = Field(default=1.3, ge=1)
    mirror: bool = True
    brightness: float = Field(default=0.5, ge=0)

    @property
    def reach(self) -> float:
        """The farthest from the centre, along one axis, that a perturbed view samples, in frame pixels."""
        return reach(1 / self.zoom, self.translation)


@dataclass(frozen=True)
class Draws:
    """Random perturbations of some views.

    Attributes
    ----------
    linear : Tensor, shape (n, 1, 2, 2), float64
        Linear part of each affine map.
    shift : Tensor, shape (n, 1, 2), float64
        In frame pixels.
    color : Tensor, shape (n, 3), float32
        What is added to R, G and B.
    """

    linear: Tensor
    shift: Tensor
    color: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Draws:
        return Draws(self.linear[rows], self.shift[rows], self.color[rows])

    def to(self, device: torch.device) -> Draws:
        """The same perturbations on a device, which isn't waited for."""
        return Draws(sent(self.linear, device), sent(self.shift, device), sent(self.color, device))


def draw(augmentation: Augmentation, n: int, generator: torch.Generator) -> Draws:
    """Draw `n` perturbations."""
    uniform = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    angle = uniform[:, 0] * (2 * math.pi if augmentation.rotate else 0.0)
    zoom = torch.exp((2 * uniform[:, 1] - 1) * math.log(augmentation.zoom))
    sign = torch.where((uniform[:, 2] < 0.5) & augmentation.mirror, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([sign * cos, -sin, sign * sin, cos], dim=1).reshape(n, 2, 2) / zoom[:, None, None]
    shift = (2 * uniform[:, 3:] - 1) * augmentation.translation
    alpha = torch.randn(n, 1, generator=generator) * augmentation.brightness
    return Draws(linear[:, None], shift[:, None], alpha * torch.tensor(_BRIGHTNESS_DIRECTION))


def perturbed_viewpoints(
    sampler: ViewpointSampler, regions: RegionBatch, draws: Draws, dtype: torch.dtype = torch.float32
) -> Tensor:
    """One perturbed set of viewpoints a galaxy.

    Returns
    -------
    Tensor, shape (n, 16, 3, 45, 45), of `dtype`, in [0, 1]
        Sampled in float32, whatever the `dtype`.
    """
    there = draws.to(regions.pixels.device)
    crops = sampler.crops(regions, there.linear, there.shift)[:, 0]
    return sampler.viewpoints((crops + there.color[:, :, None, None, None]).clamp_(0, 1).to(dtype))
