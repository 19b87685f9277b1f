"""Which galaxies count in a question, by constructed votes: ties, missing votes, nothing predicted."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import NO_ANSWER, asked_galaxies
from pipeline.tree import DecisionTree


@pytest.fixture
def votes(tree: DecisionTree) -> np.ndarray:
    """Question 3 (bar, columns 5 and 6) asked of all, exactly half, just less than half, and unknown."""
    given = np.zeros((5, 37))
    given[:, 5:7] = [[0.7, 0.3], [0.25, 0.25], [0.29, 0.2], [np.nan, 0.9], [0.0, 0.6]]
    return given


def test_half_of_the_volunteers_must_have_been_asked(tree: DecisionTree, votes: np.ndarray) -> None:
    predicted = np.zeros((5, 37))
    predicted[:, 5:7] = [[0.1, 0.3], [0.2, 0.2], [0.9, 0.0], [0.9, 0.0], [0.0, 0.0]]
    found = asked_galaxies(tree, tree.questions[2], predicted, votes)
    assert found.rows.tolist() == [0, 1, 4]
    assert found.truth.tolist() == [0, 0, 1]  # of a tie, the first
    assert found.predicted.tolist() == [1, 0, NO_ANSWER]
    assert found.correct.tolist() == [False, True, False]
    np.testing.assert_allclose(found.probability, [0.75, 0.5, 0.0])
    np.testing.assert_allclose(found.share, [0.3, 0.5, 0.0])
    np.testing.assert_allclose(found.agreement, [1 - 0.881290899, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(found.confidence, [1 - 0.811278124, 0.0, 0.0], atol=1e-6)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.majority == pytest.approx(2 / 3)


def test_half_survives_the_rounding_of_single_precision(tree: DecisionTree) -> None:
    given = np.zeros((1, 37), np.float32)
    given[0, 28:31] = [0.3, 0.1, 0.1]
    assert len(asked_galaxies(tree, tree.questions[9], given, given)) == 1


def test_a_question_that_nobody_was_asked_has_no_accuracy(tree: DecisionTree, votes: np.ndarray) -> None:
    found = asked_galaxies(tree, tree.questions[1], votes, votes)
    assert len(found) == 0
    assert np.isnan([found.accuracy, found.majority]).all()


def test_the_first_question_counts_every_galaxy_with_votes(tree: DecisionTree) -> None:
    given = np.zeros((3, 37))
    given[:2, :3] = [[0.2, 0.7, 0.1], [1.0, 0.0, 0.0]]
    assert asked_galaxies(tree, tree.questions[0], given, given).rows.tolist() == [0, 1]
