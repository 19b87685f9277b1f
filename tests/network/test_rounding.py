"""Filters are rounded so that a smooth image doesn't notice."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.network.layers import round_filters


def filters(seed: int, channels: int, kernel: int) -> torch.Tensor:
    return torch.randn(5, channels, kernel, kernel, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_each_tap_is_a_neighbour_and_the_sum_stays(seed: int, channels: int, kernel: int) -> None:
    weight = filters(seed, channels, kernel)
    rounded = round_filters(weight, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    step = 2.0**-7 * weight.abs().max()
    assert float((rounded.float() - weight).abs().max()) <= float(step)
    difference = (rounded.float() - weight).flatten(1).double().sum(1).abs()
    assert float(difference.max()) <= float(step / 2) * 1.01


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_what_can_be_written_stays(seed: int) -> None:
    weight = filters(seed, 3, 4).to(torch.bfloat16).float()
    assert torch.equal(round_filters(weight, torch.bfloat16).float(), weight)
    assert torch.equal(round_filters(filters(seed, 3, 4), torch.float32), filters(seed, 3, 4))


def test_smooth_images_give_nearly_what_the_exact_filters_give() -> None:
    weight = torch.randn(32, 8, 5, 5, generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.interpolate(torch.rand(4, 8, 4, 4), (40, 40), mode="bicubic")

    def error(rounded: torch.Tensor) -> float:
        convolve = torch.nn.functional.conv2d
        return float((convolve(image, rounded.float()) - convolve(image, weight)).square().mean().sqrt())

    assert error(round_filters(weight, torch.bfloat16)) < 0.5 * error(weight.to(torch.bfloat16))
