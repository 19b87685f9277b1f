"""Data types that networks compute in: which a machine is fastest in, and whether a network fits one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.geometry import PATCH_PIXELS, VIEWPOINTS
from pipeline.network import ViewpointNetwork, layer_activations

Precision = Literal["float32", "tf32", "bfloat16", "float16"]
"""What layers compute in, with sums in float32; ``tf32`` is float32 whose products have 10-bit mantissas."""

_LARGEST = torch.finfo(torch.float16).max / 16
"""Most that an activation of the probe may be in float16: the Walsh–Hadamard transform adds up four of them,
and a galaxy may excite a unit more than the probe does."""


def use_precision(precision: Precision) -> torch.dtype:
    """Make this process compute in a precision; the data type that networks are to have.

    Torch rounds float32 to TF32 in a GPU's convolutions unless it is told not to.

    References
    ----------
    PyTorch, "CUDA semantics": TensorFloat-32, and reduced precision reductions in float16 and bfloat16.
    """
    products = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return torch.float32 if precision == "tf32" else getattr(torch, precision)


def fastest_precision(device: str, networks: Sequence[ViewpointNetwork] = ()) -> Precision:
    """The precision that a kind of device computes networks fastest in without an answer moving by 0.002.

    On a GPU that is ``float16``, which is as fast as bfloat16 and more accurate, where activations stay in
    its range. On a CPU it is ``bfloat16`` where the processor multiplies in it; elsewhere that is emulated,
    and slower than float32.

    Parameters
    ----------
    device
        ``cuda`` or ``cpu``.
    networks
        That are to be computed; any that fit float16 if not given.

    References
    ----------
    `torch.cpu.get_capabilities` (AVX512-BF16 and AMX-BF16 of x86, BF16 of ARM).
    """
    if device == "cuda":
        return "float16" if fits_float16(networks) else "bfloat16"
    has = torch.cpu.get_capabilities()
    return "bfloat16" if any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "float32"


def largest_activation(networks: Sequence[ViewpointNetwork]) -> float:
    """The largest activation of any layer on a probe: plain fields, edges, disks and noise."""
    largest = 0.0
    for network in networks:
        activations = layer_activations(network, _probe().to(network.device, network.dtype))
        largest = max(largest, *(float(maps.abs().max()) for maps in activations.values()))
    return largest


def fits_float16(networks: Sequence[ViewpointNetwork]) -> bool:
    """Whether networks' activations stay well within float16's range."""
    return largest_activation(networks) <= _LARGEST


def check_precision(precision: Precision, networks: Sequence[ViewpointNetwork], device: str) -> None:
    """Check that networks can be computed in a precision on a device.

    Raises
    ------
    InputError
        If activations would leave the range of ``float16``, or there are no products in ``tf32``.
    """
    if precision == "tf32" and device != "cuda":
        raise InputError(
            "precision=tf32 is for GPUs, and this computes on a CPU; say precision=float32 or auto"
        )
    if precision == "float16" and not fits_float16(networks):
        raise InputError(
            f"precision=float16 can't hold what these weights compute: {largest_activation(networks):,.0f}, "
            f"where {_LARGEST:,.0f} is the most that is safe; say precision=bfloat16 or auto"
        )


def _probe() -> Tensor:
    """Pictures of extremes, the same in each viewpoint: shape (n, 16, 3, 45, 45), in [0, 1]."""
    random = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, PATCH_PIXELS)
    radius = torch.hypot(axis, axis[:, None])
    grey = [
        torch.zeros_like(radius),
        torch.ones_like(radius),
        (axis > 0).float().expand_as(radius),
        (axis[:, None] > 0).float().expand_as(radius),
        (radius < 0.5).float(),
        torch.exp(-4 * radius),
    ]
    colored = [torch.eye(3)[channel, :, None, None].expand(3, *radius.shape) for channel in range(3)]
    noise = torch.rand(2, 3, *radius.shape, generator=random)
    pictures = torch.stack(
        [*(field.expand(3, *radius.shape) for field in grey), *colored, *noise, *noise.round()]
    )
    return pictures[:, None].expand(-1, VIEWPOINTS, -1, -1, -1)
