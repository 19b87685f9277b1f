"""Random perturbations of the view, drawn anew each time a galaxy is shown."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from pipeline.config import StrictModel
from pipeline.geometry import reach
from pipeline.network import RegionBatch, ViewpointSampler

_BRIGHTNESS_DIRECTION = (0.0148366, 0.01253134, 0.01040762)
"""Principal colour direction of the challenge's images, times its spread: added to R, G, B."""


class Augmentation(StrictModel):
    """How far a view is perturbed (Dieleman, Willett & Dambre 2015, section 7.4).

    Attributes
    ----------
    rotate
        Whether by a uniform angle in [0°, 360°).
    translation
        Largest shift on each axis, in frame pixels; uniform.
    zoom
        Largest zoom factor, and its inverse the smallest; log-uniform.
    mirror
        Whether half of the views are mirrored.
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


def draw_maps(augmentation: Augmentation, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `n` random affine maps.

    Returns
    -------
    linear : Tensor, shape (n, 1, 2, 2), float64
    shift : Tensor, shape (n, 1, 2), float64
        Frame pixels.
    """
    uniform = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    angle = uniform[:, 0] * (2 * math.pi if augmentation.rotate else 0.0)
    zoom = torch.exp((2 * uniform[:, 1] - 1) * math.log(augmentation.zoom))
    sign = torch.where((uniform[:, 2] < 0.5) & augmentation.mirror, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([sign * cos, -sin, sign * sin, cos], dim=1).reshape(n, 2, 2) / zoom[:, None, None]
    shift = (2 * uniform[:, 3:] - 1) * augmentation.translation
    return linear[:, None], shift[:, None]


def perturbed_viewpoints(
    sampler: ViewpointSampler, regions: RegionBatch, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """One randomly perturbed set of viewpoints a galaxy.

    Returns
    -------
    Tensor, shape (n, 16, 3, 45, 45), float32 in [0, 1]
    """
    n, device = len(regions), regions.pixels.device
    linear, shift = draw_maps(augmentation, n, generator)
    crops = sampler.crops(regions, linear.to(device), shift.to(device))[:, 0]
    alpha = torch.randn(n, 1, generator=generator) * augmentation.brightness
    step = alpha * torch.tensor(_BRIGHTNESS_DIRECTION)
    return sampler.viewpoints((crops + step.to(device)[:, :, None, None, None]).clamp_(0, 1))
