"""Weights and trees as kernels read them: pure functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from pipeline.averaging.kernels.convolution import TILES, fits, step_ordered
from pipeline.averaging.kernels.dense import in_halves, position_major
from pipeline.averaging.kernels.first_convolution import Window, window_of
from pipeline.averaging.kernels.l1 import through_l1
from pipeline.averaging.kernels.layout import blocks, power_of_two
from pipeline.averaging.kernels.tail import gating, halves
from pipeline.averaging.kernels.turning import corner_views, turned
from pipeline.geometry import PATCH_PIXELS
from pipeline.network import Dense
from pipeline.network.spec import DenseSpec
from pipeline.tree import DecisionTree


def test_powers_and_blocks() -> None:
    assert [power_of_two(count) for count in (1, 2, 3, 37, 64, 65)] == [1, 2, 4, 64, 64, 128]
    assert [blocks(count, 16) for count in (0, 1, 16, 17)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("kernel", "window"),
    [(6, Window(32, 128, 64)), (8, Window(40, 256, 64)), (4, Window(24, 64, 32)), (5, None), (7, None)],
)
def test_windows_of_two_powers(kernel: int, window: Window | None) -> None:
    assert window_of(kernel) == window


def test_every_corner_has_two_viewpoints_of_the_same_pixels() -> None:
    corners = corner_views()
    assert sorted(view.viewpoint for views in corners for view in views) == list(range(8))
    for views in corners:
        pixels = [set(zip(view.y.flat, view.x.flat, strict=True)) for view in views]
        assert pixels[0] == pixels[1]
        assert len(pixels[0]) == PATCH_PIXELS**2
        assert not np.array_equal(views[0].y, views[1].y)


def test_turning_keeps_every_value() -> None:
    weight, bias = torch.randn(4, 3, 6, 6), torch.randn(40, 40, 4)
    by_corner = turned(weight, bias, 32)
    columns = by_corner.weight.view(4, 192, 2, 2, 4)
    for side in range(2):
        for orientation in range(2):
            values = columns[0, :, side, orientation].T
            nonzero = values[values != 0].view(4, -1)
            torch.testing.assert_close(nonzero.sort().values, weight.flatten(1).sort().values)
    assert by_corner.bias.shape == (4, 25, 32, 16)
    for corner in range(4):
        both = by_corner.bias[corner].view(25 * 32, 2, 2, 4)
        for orientation in range(2):
            every = both[:, :, orientation].reshape(-1, 4)
            torch.testing.assert_close(every.sort(0).values, bias.view(-1, 4).sort(0).values)


def test_filters_in_the_order_of_steps() -> None:
    weight = torch.arange(2 * 4 * 3 * 3.0).view(2, 4, 3, 3)
    plain = step_ordered(weight, 4, paired=False)
    assert plain.shape == (36, 2)
    torch.testing.assert_close(plain[4:8, 1], weight[1, :, 1, 0])  # the second step: a row down
    torch.testing.assert_close(plain[12:16, 1], weight[1, :, 0, 1])  # the fourth: a pixel farther
    pairs = step_ordered(weight, 4, paired=True)
    assert pairs.shape == (48, 4)
    torch.testing.assert_close(pairs[:36, :2], plain)
    torch.testing.assert_close(pairs[12:, 2:], plain)
    assert not pairs[36:, :2].any()
    assert not pairs[:12, 2:].any()


def test_which_configurations_are_for_which_filters() -> None:
    def number(filters: int, channels: int, kernel: int, pool: int) -> int:
        return sum(fits(tiles, torch.empty(filters, channels, kernel, kernel), pool) for tiles in TILES)

    assert number(64, 32, 5, 2) == 4
    assert number(64, 32, 4, 2) == 5
    assert number(128, 64, 3, 1) == number(128, 128, 3, 2) == number(256, 128, 3, 2) == 4
    assert number(192, 128, 3, 2) == 2
    assert number(24, 32, 3, 1) == number(64, 32, 5, 3) == number(128, 20, 3, 1) == 0


def test_only_windows_go_through_the_first_level_cache() -> None:
    window, weight = "cp.async.cg.shared.global [a], [w];\n" * 2, "cp.async.cg.shared.global [b], [f];\n"
    group = "cp.async.commit_group;\n"
    ptx = f"ld.global;\n{window}{group}{weight}{group}loop:\n{window}{group}{weight}{group}ret;"
    through = window.replace(".cg", ".ca")
    assert through_l1(ptx, loads=2) == ptx.replace(window, through)
    assert through_l1(ptx, loads=1) == ptx.replace(".cg", ".ca")
    assert through_l1("ret;", loads=2) == "ret;"


def test_maxout_in_halves_and_features_by_position() -> None:
    maxout = Dense(DenseSpec(units=2), 6)
    torch.testing.assert_close(in_halves(torch.arange(4), maxout), torch.tensor([0, 2, 1, 3]))
    relu = Dense(DenseSpec(units=4, activation="relu"), 6)
    torch.testing.assert_close(in_halves(torch.arange(4), relu), torch.arange(4))
    torch.testing.assert_close(position_major(torch.arange(6), 3), torch.tensor([0, 3, 1, 4, 2, 5]))


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 5e-7), (torch.bfloat16, 3e-5)])
def test_two_short_floats_are_almost_a_long_one(dtype: torch.dtype, most: float) -> None:
    weight = torch.randn(1000)
    high, low = halves(weight, dtype)
    assert high.dtype == low.dtype == dtype
    assert float((high.double() + low.double() / 2048 - weight).abs().max()) < most


def test_the_tree_as_the_kernel_reads_it(tree: DecisionTree) -> None:
    question, gates, gated = gating(tree, 64)
    assert question[37:].tolist() == [-1] * 27
    keys = [q.key for q in tree.questions]
    assert [keys[i] for i in question[:37]] == [q.key for q in tree.questions for _ in q.answers]
    assert [keys[i] for i in gated] == list(tree.gates)
    assert [tuple(row.nonzero().flatten().tolist()) for row in gates] == list(tree.gates.values())
