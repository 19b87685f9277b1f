"""The output layer against a literal transcription of its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pipeline.network import TreeOutput
from pipeline.tree import Answer, DecisionTree, Question, load_tree

QUESTIONS = [
    (0, 3),
    (3, 5),
    (5, 7),
    (7, 9),
    (9, 13),
    (13, 15),
    (15, 18),
    (18, 25),
    (25, 28),
    (28, 31),
    (31, 37),
]
SCALING = [((3, 5), 1), ((5, 13), 4), ((15, 18), 0), ((18, 25), 13), ((25, 28), 3), ((28, 37), 7)]
OUTPUT = TreeOutput(load_tree())


def transcribed(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.maximum(raw, 0)
    for begin, end in QUESTIONS:
        p[..., begin:end] = p[..., begin:end] / (p[..., begin:end].sum(-1, keepdims=True) + 1e-12)
    for (begin, end), gate in SCALING:
        p[..., begin:end] = p[..., begin:end] * p[..., [gate]]
    return p


def raw_values(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 37, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_published_formula() -> None:
    raw = raw_values(200)
    np.testing.assert_allclose(OUTPUT(raw), transcribed(raw.numpy()), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(OUTPUT(raw.float()), transcribed(raw.numpy()), rtol=1e-5, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 10), min_size=37, max_size=37))
def test_questions_sum_to_the_probability_of_being_asked(values: list[float]) -> None:
    p = OUTPUT(torch.tensor(values)).double()
    asked = [
        1.0,
        p[1],
        p[4],
        p[5] + p[6],
        p[8] + p[31:37].sum(),
        1.0,
        p[0],
        p[13],
        p[3],
        p[7],
        p[28:31].sum(),
    ]
    for (begin, end), expected in zip(QUESTIONS, asked, strict=True):
        assert float(p[begin:end].sum()) == pytest.approx(float(expected), abs=1e-6)


def test_exact_zero_and_one_can_be_predicted() -> None:
    raw = -torch.ones(37)
    raw[[0, 14, 15]] = 2.5
    assert OUTPUT(raw).nonzero().flatten().tolist() == [0, 14, 15]
    assert OUTPUT(raw)[[0, 14, 15]].tolist() == [1, 1, 1]


def test_a_question_without_a_positive_value_is_zero_and_has_no_gradient() -> None:
    raw = raw_values(1)[0].abs().requires_grad_(True)
    dead = torch.ones(37, dtype=torch.float64)
    dead[9:13] = -1
    p = OUTPUT(raw * dead)
    assert p[9:13].tolist() == [0, 0, 0, 0]
    (gradient,) = torch.autograd.grad((p * torch.arange(1.0, 38.0)).sum(), raw)
    assert gradient[9:13].tolist() == [0, 0, 0, 0]
    assert gradient[:9].abs().min() > 0
    everything_dead = torch.zeros(37, requires_grad=True)
    (gradient,) = torch.autograd.grad(OUTPUT(everything_dead).sum(), everything_dead)
    assert gradient.tolist() == [0.0] * 37


def test_gradients_equal_finite_differences() -> None:
    raw = raw_values(4, seed=2)
    raw = torch.where(raw.abs() < 0.05, 0.05, raw).requires_grad_(True)
    assert torch.autograd.gradcheck(OUTPUT, (raw,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_types_become_float32(dtype: torch.dtype) -> None:
    p = OUTPUT(raw_values(50).to(dtype))
    assert p.dtype == torch.float32
    np.testing.assert_allclose(p, transcribed(raw_values(50).to(dtype).double().numpy()), atol=1e-6)


def test_autocast_takes_no_digits_away() -> None:
    raw = raw_values(50).float().abs()
    with torch.autocast("cpu", torch.bfloat16):
        p = OUTPUT(raw)
    torch.testing.assert_close(p[:, :3].sum(-1), torch.ones(50), rtol=0, atol=1e-6)


def test_a_gate_of_several_answers_is_their_sum() -> None:
    tree = DecisionTree(
        "t",
        (
            Question("a", "?", (Answer("x", "", "c"), Answer("y", "", "b"), Answer("z", "", None))),
            Question("c", "?", (Answer("x", "", None), Answer("y", "", None))),
            Question("b", "?", (Answer("x", "", "c"), Answer("y", "", None))),
        ),
    )
    p = TreeOutput(tree)(torch.tensor([1.0, 2, 1, 3, 1, 1, 4]))
    by_hand = [0.25, 0.5, 0.25, 0.75 * 0.35, 0.25 * 0.35, 0.2 * 0.5, 0.8 * 0.5]
    torch.testing.assert_close(p, torch.tensor(by_hand))
