"""What networks are computed in, and how far answers move by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import torch

from jobs.bench.timing import galaxies, random_network
from pipeline.averaging import (
    Precision,
    SharedAverage,
    check_precision,
    fastest_precision,
    fits_float16,
    naive_average,
    use_precision,
)
from pipeline.config import CONFIGS
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, ViewpointNetwork, ViewpointSampler, load_network
from pipeline.network.layers import UntiedConvolution
from pipeline.tree import load_tree


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    """Give back the process's settings of products."""
    yield
    use_precision("float32")


@pytest.fixture(scope="module")
def shipped() -> ViewpointNetwork:
    return load_network(DEFAULT_WEIGHTS, load_tree())[0]


def overflowing() -> ViewpointNetwork:
    """A network whose second convolution multiplies what it is shown by 10,000 and more."""
    network = random_network(str(CONFIGS / "networks" / "compact.yaml"))
    with torch.no_grad():
        cast(UntiedConvolution, network.convolutions[1]).weight.mul_(10_000)
    return network


@pytest.mark.parametrize(("precision", "most"), [("float16", 1e-4), ("bfloat16", 2e-3)])
def test_answers_of_the_shipped_weights_move_by_no_more_than_is_promised(
    shipped: ViewpointNetwork, precision: Precision, most: float
) -> None:
    regions = galaxies(1)
    exact = naive_average(shipped, ViewpointSampler(), regions)
    average = SharedAverage(shipped, dtype=use_precision(precision))
    assert float((average(regions) - exact).abs().max()) < most


@pytest.mark.parametrize(("precision", "products"), [("tf32", "tf32"), ("float32", "ieee")])
def test_products_in_float32_are_rounded_only_where_that_is_asked_for(
    precision: Precision, products: str
) -> None:
    assert use_precision(precision) == torch.float32
    assert torch.backends.cuda.matmul.fp32_precision == products
    assert torch.backends.cudnn.conv.fp32_precision == products  # type: ignore[attr-defined]


def test_a_gpu_computes_in_float16_what_fits_it(shipped: ViewpointNetwork) -> None:
    assert fastest_precision("cuda", [shipped]) == "float16"
    assert fastest_precision("cuda", [shipped, overflowing()]) == "bfloat16"
    assert fastest_precision("cpu") in ("bfloat16", "float32")


@pytest.mark.long
def test_every_network_of_the_paper_fits_float16() -> None:
    for path in sorted((CONFIGS / "networks").glob("*.yaml")):
        assert fits_float16([random_network(str(path))]), path.name


def test_weights_that_leave_the_range_of_float16_are_refused_in_it() -> None:
    with pytest.raises(InputError, match=r"precision=float16 can't hold .* say precision=bfloat16 or auto"):
        check_precision("float16", [overflowing()], "cuda")
    check_precision("bfloat16", [overflowing()], "cuda")


def test_tf32_is_for_gpus(shipped: ViewpointNetwork) -> None:
    with pytest.raises(InputError, match=r"precision=tf32 is for GPUs"):
        check_precision("tf32", [shipped], "cpu")
