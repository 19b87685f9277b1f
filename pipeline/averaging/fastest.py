"""Which form of the mean over sixty transforms a machine computes fastest."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pipeline.averaging.shared import SharedAverage
from pipeline.network import RegionBatch, ViewpointNetwork

_KERNELS_FROM = (8, 0)
"""The compute capability from which on GPUs multiply in bfloat16, and copy to shared memory by themselves."""

_GALAXIES_IN_LITTLE_MEMORY = 32
"""Where kernels' buffers for 256 galaxies don't fit: `SharedAverage` takes several times as much for each."""


class Predictor(Protocol):
    """What gives a galaxy's answers: the mean over networks, and over transforms or of the view as it is."""

    def __call__(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities (n, answers), float32."""
        ...

    def with_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        """These, and mean activations of the first network's last hidden layer, (n, units), float32."""
        ...


class Average(Predictor, Protocol):
    """The mean over sixty transforms and over networks, in one form or another."""

    def each(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities of each network, (networks, n, answers), float32."""
        ...

    def stages(self, regions: RegionBatch) -> dict[str, Callable[[], object]]:
        """Calls that each do the work up to the end of one stage, to be timed."""
        ...


def average_of(*networks: ViewpointNetwork, dtype: torch.dtype | None = None) -> Average:
    """The mean over sixty transforms in the form that is the fastest where the networks are.

    On GPUs of Nvidia's, in float16 and bfloat16, these are Triton's kernels; `SharedAverage` elsewhere, and
    where kernels can't be compiled and launched or lack memory, of which a warning then tells.

    Parameters
    ----------
    networks
        In evaluation mode, on one device. Later changes to their weights may go unseen.
    dtype
        Data type to compute in; by default the networks' own.

    Raises
    ------
    ValueError
        If a network is in training mode.
    """
    dtype = dtype or networks[0].dtype
    galaxies_at_once = None
    if kernels_run_on(networks[0].device, dtype):
        from pipeline.averaging.kernels import KernelAverage, NoVariantError

        try:
            return KernelAverage(*networks, dtype=dtype)
        except torch.OutOfMemoryError as error:
            galaxies_at_once = _GALAXIES_IN_LITTLE_MEMORY
            why = f"the GPU has too little free memory for the buffers of its kernels ({_line(error)})"
        except NoVariantError as error:
            why = f"{error}; kernels take a C compiler and a home folder, and a GPU that they fit"
        # Only here, where the error is gone, are the buffers that it held on to free.
        warnings.warn(f"averaging goes a slower way: {why}", RuntimeWarning, stacklevel=2)
    return SharedAverage(*networks, dtype=dtype, galaxies_at_once=galaxies_at_once)


def kernels_run_on(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether there are kernels for a device and a data type."""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= _KERNELS_FROM
        and importlib.util.find_spec("triton") is not None
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
