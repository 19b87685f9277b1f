"""Averaging by Triton's kernels: how it works is told in ``docs/explanation/kernels.md``.

Imports Triton, which comes with torch's builds for CUDA; elsewhere nothing here can be imported.
"""

from pipeline.averaging.kernels.average import KernelAverage
from pipeline.averaging.kernels.choice import NoVariantError

__all__ = ["KernelAverage", "NoVariantError"]
