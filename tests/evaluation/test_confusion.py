"""Confusion, precision and recall against scikit-learn, never-predicted and absent answers included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.evaluation import NO_ANSWER, answer_scores, confusion_matrix

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(NO_ANSWER, 4)), min_size=1, max_size=60)


@given(pairs)
def test_matrix_and_scores_are_scikit_learn_s(drawn: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(drawn).T
    matrix = confusion_matrix(truth, predicted, 5)
    labels = [*range(5), NO_ANSWER]
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(truth, predicted, labels=labels)[:5])
    precision, recall, _, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(5), zero_division=np.nan
    )
    found = answer_scores(matrix)
    unknown = [(np.nan if s.precision is None else s.precision) for s in found]
    np.testing.assert_allclose(unknown, precision)
    np.testing.assert_allclose([(np.nan if s.recall is None else s.recall) for s in found], recall)
    assert [s.galaxies for s in found] == support.tolist()


def test_by_hand() -> None:
    matrix = confusion_matrix([0, 0, 0, 1, 1], [0, 0, 1, 1, NO_ANSWER], 3)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    found = answer_scores(matrix)
    assert (found[0].precision, found[0].recall) == pytest.approx((1.0, 2 / 3))
    assert (found[1].precision, found[1].recall) == (0.5, 0.5)
    assert (found[2].precision, found[2].recall, found[2].galaxies) == (None, None, 0)


def test_one_class_and_no_galaxies() -> None:
    assert [s.precision for s in answer_scores(confusion_matrix([1, 1], [1, 1], 2))] == [None, 1.0]
    assert confusion_matrix([], [], 2).sum() == 0
