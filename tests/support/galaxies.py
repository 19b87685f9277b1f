"""Synthetic galaxies for tests."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def galaxy(seed: int, size: int = 424) -> NDArray[np.uint8]:
    """An inclined exponential disk with noise, shape (size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle, axis_ratio, scale = rng.uniform(0, np.pi), rng.uniform(0.2, 1), size / 14
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    light = 200 * np.exp(-np.hypot(along, across / axis_ratio) / scale)
    color = np.array([1.0, 0.85, 0.6])
    return np.clip(light[..., None] * color + rng.normal(8, 3, (size, size, 3)), 0, 255).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
