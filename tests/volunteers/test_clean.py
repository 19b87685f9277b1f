"""Clean samples: enough votes, rightly asked, settled."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tree import DecisionTree
from pipeline.volunteers import clean, fractions


@pytest.fixture
def votes(tree: DecisionTree) -> np.ndarray:
    """A disk seen by 15 of 24; face-on for 14, barred for 12, spiral for all 14."""
    counts = {
        "smooth_or_featured_smooth": 9,
        "smooth_or_featured_featured_or_disk": 15,
        "disk_edge_on_yes": 1,
        "disk_edge_on_no": 14,
        "bar_yes": 12,
        "bar_no": 2,
        "has_spiral_arms_yes": 14,
        "spiral_winding_tight": 13,
        "spiral_winding_loose": 1,
    }
    return np.array([[counts.get(column, 0) for column in tree.columns]])


def names(tree: DecisionTree, flags: np.ndarray) -> list[str]:
    return [tree.columns[place] for place in np.flatnonzero(flags[0])]


def test_settled_answers_of_questions_rightly_asked_are_clean(tree: DecisionTree, votes: np.ndarray) -> None:
    shares = fractions(tree, votes)
    expected = ["disk_edge_on_no", "bar_yes", "has_spiral_arms_yes", "spiral_winding_tight"]
    assert names(tree, clean(tree, votes, shares, shares, votes_at_least=14)) == expected


def test_a_question_has_its_own_thresholds(tree: DecisionTree, votes: np.ndarray) -> None:
    shares = fractions(tree, votes)
    limits = dict.fromkeys(tree.slices, 14) | {"bar": 15}
    settled = dict.fromkeys(tree.slices, 0.95) | {"smooth_or_featured": 0.6}
    assert names(tree, clean(tree, votes, shares, shares, settled, votes_at_least=limits)) == [
        "smooth_or_featured_featured_or_disk",
        "has_spiral_arms_yes",
    ]


def test_a_doubtful_question_at_the_top_spoils_all_below(tree: DecisionTree, votes: np.ndarray) -> None:
    shares = fractions(tree, votes)
    assert not clean(tree, votes, shares, shares, prior=0.7, votes_at_least=1)[:, 3:].any()


def test_the_debiased_fraction_counts_and_the_votes_lead(tree: DecisionTree, votes: np.ndarray) -> None:
    shares = fractions(tree, votes)
    debiased = shares.copy()
    debiased[0, [5, 6]] = 0.7, 0.3
    debiased[0, 1] = 0.1
    found = names(tree, clean(tree, votes, shares, debiased, votes_at_least=14))
    assert found == ["disk_edge_on_no", "has_spiral_arms_yes", "spiral_winding_tight"]
