"""Answers as fractions of those who are asked."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tree import compute_fractions, conditional_fractions, load_tree

TREE = load_tree()


def test_every_answer_has_a_fraction_and_those_of_a_question_sum_to_one() -> None:
    answers = np.random.default_rng(0).random((5, TREE.answer_count)) / 10
    fractions = conditional_fractions(TREE)
    assert [fraction.name for fraction in fractions] == [f"{column}_fraction" for column in TREE.columns]
    found = compute_fractions(TREE, fractions, answers)
    for where in TREE.slices.values():
        np.testing.assert_allclose(found[:, where].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("least_asked", "empty"), [(0.0, [True, False, False]), (0.3, [True, True, False])])
def test_a_question_that_too_few_are_asked_has_none(least_asked: float, empty: list[bool]) -> None:
    answers = np.zeros((3, TREE.answer_count), np.float32)
    answers[1:, TREE.columns.index("bar_yes")] = 0.1, 0.3
    bar = [fraction for fraction in conditional_fractions(TREE) if fraction.question == "bar"]
    found = compute_fractions(TREE, bar, answers, least_asked)
    assert np.isnan(found).all(axis=1).tolist() == np.isnan(found).any(axis=1).tolist() == empty
    assert found[2].tolist() == [1.0, 0.0]
