"""The operators in plain torch, against loops that are as naive as their definitions."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.network.operators import nms, prepare_torchvision, roi_align

BOXES = st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2), max_size=12)


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@given(BOXES, st.floats(0.01, 0.99), st.integers(0, 99))
def test_the_best_boxes_are_kept_that_overlap_none_better(
    sizes: list[tuple[int, int, int, int]], limit: float, seed: int
) -> None:
    boxes = [[x, y, x + width, y + height] for x, y, width, height in sizes]
    scores = np.random.default_rng(seed).permutation(len(boxes)).tolist()
    kept: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda place: -scores[place]):
        if all(overlap(boxes[place], boxes[other]) <= limit for other in kept):
            kept.append(place)
    found = nms(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.tensor(scores), limit)
    assert found.tolist() == kept


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    height, width = image.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = (1 - across) * image[:, top, left] + across * image[:, top, right]
    lower = (1 - across) * image[:, bottom, left] + across * image[:, bottom, right]
    mean: np.ndarray = (1 - down) * upper + down * lower
    return mean


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(1, 3), st.sampled_from([0.5, 1.0]))
def test_regions_are_means_of_samples(seed: int, aligned: bool, ratio: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    maps = random.normal(size=(2, 3, 7, 9))
    corners = random.uniform(-4, 14, (4, 2))
    rois = np.concatenate([random.integers(0, 2, (4, 1)), corners, corners + random.uniform(0, 9, (4, 2))], 1)
    seen = roi_align(torch.from_numpy(maps), torch.from_numpy(rois), scale, 2, 3, ratio, aligned)
    assert seen.shape == (4, 3, 2, 3)
    for number, (image, *box) in enumerate(rois):
        x, y, right, bottom = (value * scale - 0.5 * aligned for value in box)
        width, height = (max(size, 1.0) if not aligned else size for size in (right - x, bottom - y))
        for row in range(2):
            for column in range(3):
                samples = [
                    bilinear(
                        maps[int(image)],
                        y + height * (row + (i + 0.5) / ratio) / 2,
                        x + width * (column + (j + 0.5) / ratio) / 3,
                    )
                    for i in range(ratio)
                    for j in range(ratio)
                ]
                np.testing.assert_allclose(seen[number, :, row, column], np.mean(samples, axis=0), atol=1e-9)


def test_regions_have_gradients() -> None:
    maps = torch.rand(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.5, 0.7, 3.9, 4.2]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, 1.0, 2, 2, 2, True), maps)
    with pytest.raises(ValueError, match="at least 1"):
        roi_align(maps, rois, 1.0, 2, 2, 0, True)


def test_what_is_not_installed_is_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as where it isn't installed
    assert not prepare_torchvision()
