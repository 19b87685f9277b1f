"""A network that makes pictures of galaxies out of noise, as somebody would have voted on them.

References
----------
Lipman et al. 2023, Flow matching for generative modeling, arXiv:2210.02747; Esser et al. 2024, Scaling
rectified flow transformers, arXiv:2403.03206 (which times to train at); Ho & Salimans 2022, Classifier-free
diffusion guidance, arXiv:2207.12598.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config import StrictModel
from pipeline.generation.library import diffusers_library
from pipeline.generation.pictures import SIDE

PATCH = 2
"""Width of the squares of pixels that the network sees as one: its largest maps are 32 × 32."""

_TIMES = 1000
_MEAN, _SPREAD = 0.21, 0.15
"""Of the square roots of pixels, over galaxies of the Galaxy Challenge."""


class GeneratorSpec(StrictModel):
    """What a generator is built of.

    Attributes
    ----------
    answers
        Vote fractions by which it can be asked.
    channels
        Of the U-Net's levels, the finest first.
    attention
        Which of the levels have self-attention.
    layers
        Residual blocks of each level.
    groups, head
        Channels are normalised in so many groups, and a head of attention has so many channels.
    dropout
        Share of values left out while it trains.
    """

    answers: int = Field(ge=1)
    channels: tuple[int, ...] = Field(default=(48, 80, 128), min_length=1)
    attention: tuple[bool, ...] = (False, True, True)
    layers: int = Field(default=2, ge=1)
    groups: int = Field(default=16, ge=1)
    head: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> GeneratorSpec:
        step = math.lcm(self.groups, self.head)
        if any(number <= 0 or number % step for number in self.channels):
            raise ValueError(f"channels are {self.channels}; expected multiples of {step}")
        if len(self.attention) != len(self.channels):
            raise ValueError(
                f"attention is told of {len(self.attention)} levels, channels of {len(self.channels)}; "
                "expected as many"
            )
        return self


class Generator(nn.Module):
    """Tells of pictures between noise and galaxy which way to the galaxy is.

    A picture at time t is t of noise and 1 - t of a galaxy (the square roots of its pixels, standardised);
    the network gives the difference noise - galaxy that it expects there.

    Raises
    ------
    InputError
        If diffusers isn't there.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        width, pixels = 4 * spec.channels[0], 3 * PATCH**2
        self.unet: Any = diffusers_library().UNet2DModel(
            sample_size=SIDE // PATCH,
            in_channels=pixels,
            out_channels=pixels,
            block_out_channels=spec.channels,
            layers_per_block=spec.layers,
            down_block_types=tuple("AttnDownBlock2D" if one else "DownBlock2D" for one in spec.attention),
            up_block_types=tuple("AttnUpBlock2D" if one else "UpBlock2D" for one in spec.attention[::-1]),
            norm_num_groups=spec.groups,
            attention_head_dim=spec.head,
            resnet_time_scale_shift="scale_shift",
            dropout=spec.dropout,
            class_embed_type="identity",
        )
        self.condition = nn.Sequential(nn.Linear(2 * spec.answers, width), nn.SiLU(), nn.Linear(width, width))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, mixed: Tensor, times: Tensor, votes: Tensor) -> Tensor:
        """Map pictures on their way (n, 3, 64, 64) to the expected noise less galaxy.

        Parameters
        ----------
        times : Tensor, shape (n,)
            Share of noise, 0 to 1.
        votes : Tensor, shape (n, answers)
            Cumulative fractions; NaN where anything will do.
        """
        known = ~votes.isnan()
        asked = torch.where(known, 2 * votes - 1, 0.0)
        condition = self.condition(torch.cat([asked, known.to(asked.dtype)], dim=1))
        patches = functional.pixel_unshuffle(mixed, PATCH).contiguous(memory_format=torch.channels_last)
        expected = self.unet(patches, times * _TIMES, class_labels=condition).sample
        return functional.pixel_shuffle(expected, PATCH)

    def loss(self, pictures: Tensor, votes: Tensor, random: torch.Generator) -> Tensor:
        """Mean squared error about pictures (n, 3, 64, 64) in [0, 1], at random times and noise.

        Times are logistic of a standard normal, so that most lie where there is most to learn.
        """
        galaxies = standardised(pictures)
        noise = torch.randn(galaxies.shape, generator=random, device=galaxies.device)
        times = torch.randn(len(galaxies), generator=random, device=galaxies.device).sigmoid()
        share = times[:, None, None, None]
        expected = self(share * noise + (1 - share) * galaxies, times, votes)
        return functional.mse_loss(expected.float(), noise - galaxies)

    @torch.inference_mode()
    def make(self, votes: Tensor, noise: Tensor, guidance: float, steps: int) -> Tensor:
        """Pictures (n, 3, 64, 64), float32 in [0, 1], of galaxies on which people would vote so.

        Parameters
        ----------
        votes : Tensor, shape (n, answers)
            See `forward`.
        noise : Tensor, shape (n, 3, 64, 64)
            Standard normal; what the pictures are made of.
        guidance
            How far to go from what any galaxy looks like towards what one with these votes does: at 1 as
            far as was learnt, above 1 farther.
        steps
            Of Euler's method.
        """
        scheduler = diffusers_library().FlowMatchEulerDiscreteScheduler(num_train_timesteps=_TIMES)
        scheduler.set_timesteps(steps)
        votes, mixed = votes.to(self.device), noise.to(self.device)
        anything = torch.full_like(votes, torch.nan)
        for time in scheduler.timesteps:
            times = (time / _TIMES).to(self.device).expand(len(mixed))
            if guidance == 1:
                direction = self(mixed, times, votes)
            else:
                both = self(mixed.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([votes, anything]))
                wanted, usual = both.chunk(2)
                direction = usual + guidance * (wanted - usual)
            mixed = scheduler.step(direction, time, mixed).prev_sample
        return unstandardised(mixed).float()


def standardised(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as the network has them: by square roots, noise is alike in dark and bright."""
    return (pictures.clamp(min=0).sqrt() - _MEAN) / _SPREAD


def unstandardised(values: Tensor) -> Tensor:
    """The pictures in [0, 1] whose `standardised` values these are."""
    return (values * _SPREAD + _MEAN).clamp(0, 1).square()
