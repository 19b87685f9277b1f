"""The largest of values, NaN if any is NaN: what overflowed must stay visible up to the answers.

A GPU's plain maximum leaves NaN out, and ReLU would make a 0 of it. Rows whose answers aren't finite are
quarantined (see `streaming.sink`).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def larger(x, y):
    """The larger of two float32 values."""
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _largest(x, axis: tl.constexpr):
    return tl.reduce(x, axis, larger)


@triton.jit
def _largest_interpreted(x, axis: tl.constexpr):
    return tl.max(x, axis=axis)


# The interpreter takes a function of ours element by element, a thousand times as long as its own maximum.
largest = _largest_interpreted if triton.knobs.runtime.interpret else _largest
