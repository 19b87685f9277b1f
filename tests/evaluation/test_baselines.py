"""Baselines: the best constant, and a majority that obeys the tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation import column_means, majority_answers, rmse
from pipeline.tree import DecisionTree
from tests.support.outputs import obedient

SOLUTIONS = Path("../shared/data/galaxy_zoo_challenge/training_solutions_rev1.csv")


def test_no_constant_scores_better_than_the_means(tree: DecisionTree) -> None:
    votes = obedient(tree, 60, 1).astype(np.float64)
    votes[::7, 3] = np.nan
    means = column_means(votes)
    np.testing.assert_allclose(means, np.nanmean(votes, axis=0))
    best = rmse(np.tile(means, (60, 1)), votes)
    for shift in np.random.default_rng(0).normal(0, 0.02, (50, 37)):
        assert rmse(np.tile(means + shift, (60, 1)), votes) > best


def test_an_answer_without_votes_has_mean_0() -> None:
    assert column_means([[np.nan, 0.5], [np.nan, 1.0]]).tolist() == [0.0, 0.75]


def test_the_majority_obeys_the_tree(tree: DecisionTree) -> None:
    votes = np.full((1, 37), 0.01)
    chosen = [
        "smooth_or_featured_smooth",
        "how_rounded_in_between",
        "something_odd_no",
        "bar_no",
        "bulge_shape_boxy",
    ]
    votes[:, [tree.columns.index(name) for name in chosen]] = 0.9
    answers = majority_answers(tree, votes)
    assert [tree.columns[i] for i in np.flatnonzero(answers)] == [
        "smooth_or_featured_smooth",
        "something_odd_no",
        "how_rounded_in_between",
    ]
    assert set(answers) == {0.0, 1.0}


@pytest.mark.skipif(not SOLUTIONS.exists(), reason=f"{SOLUTIONS} is not here")
def test_the_means_score_on_real_votes_as_they_are_known_to() -> None:
    votes = pd.read_csv(SOLUTIONS).iloc[:, 1:].to_numpy()
    assert rmse(np.tile(column_means(votes), (len(votes), 1)), votes) == pytest.approx(0.164, abs=0.003)
    assert rmse(np.zeros_like(votes), votes) == pytest.approx(0.272, abs=0.005)
