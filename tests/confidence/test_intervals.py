"""Intervals of vote shares hold what they say, and obey the tree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import betaincinv

from pipeline.confidence import (
    Concentrations,
    calibrated,
    fit_concentrations,
    question_coverage,
    share_distributions,
    share_intervals,
)
from pipeline.confidence.calibration import asked_of
from pipeline.confidence.concentration import QuestionConcentration
from pipeline.confidence.intervals import beta_quantiles
from pipeline.tree import load_tree
from tests.confidence.votes import drawn_answers, drawn_votes

TREE = load_tree()


def evenly(strength: float) -> Concentrations:
    """Every question worth the same number of volunteers."""
    fit = QuestionConcentration(offset=float(np.log(strength)), slopes=(0.0,) * TREE.answer_count, galaxies=0)
    return Concentrations(
        mean_roots=(0.0,) * TREE.answer_count, questions={q.key: fit for q in TREE.questions}
    )


@given(
    arrays.arrays(np.float32, (3, TREE.answer_count), elements=st.floats(0, 1, width=32)),
    st.floats(0.2, 500),
)
def test_bounds_hold_the_answer_whatever_it_is(answers: np.ndarray, strength: float) -> None:
    low, high = share_intervals(TREE, answers, evenly(strength))
    assert (low >= 0).all()
    assert (low <= answers).all()
    assert (answers <= high).all()
    assert (high <= 1).all()


def test_more_volunteers_bring_bounds_together() -> None:
    answers = drawn_answers(TREE, 50, np.random.default_rng(0))
    widths = [np.subtract(*share_intervals(TREE, answers, evenly(s))[::-1]).mean() for s in (1, 10, 100)]
    assert widths[0] > widths[1] > widths[2] > 1 / 40


def test_means_and_variances_are_those_of_drawn_votes() -> None:
    random = np.random.default_rng(1)
    answers = np.repeat(drawn_answers(TREE, 1, random), 20_000, axis=0)
    votes = drawn_votes(TREE, answers, 8.0, 40, random)
    mean, strength = share_distributions(TREE, answers[:1], np.full((1, len(TREE.questions)), 8.0), 40)
    spread = np.sqrt(mean * (1 - mean) / (strength + 1))[0]
    assert np.abs(votes.mean(axis=0) - mean[0]).max() < 0.01
    seen = votes.std(axis=0)
    assert np.abs(spread - seen).max() < 0.02


@pytest.mark.parametrize("strength", [3.0, 15.0])
def test_intervals_learnt_from_some_galaxies_hold_nine_tenths_of_others_votes(strength: float) -> None:
    random = np.random.default_rng(2)
    answers = drawn_answers(TREE, 2400, random)
    votes = drawn_votes(TREE, answers, strength, 40, random)
    fitted = fit_concentrations(TREE, answers[:800], votes[:800])
    assert np.median(fitted.of(TREE, answers)[:, 0]) == pytest.approx(strength, rel=0.25)
    learnt = calibrated(TREE, fitted, answers[:800], votes[:800])
    for key in ("smooth_or_featured", "disk_edge_on", "something_odd"):
        asked = asked_of(TREE, key, votes[800:])
        covered = question_coverage(TREE, key, learnt, answers[800:][asked], votes[800:][asked])
        assert 0.85 < covered < 0.95, key


def test_a_question_that_too_few_were_asked_is_worth_one_volunteer() -> None:
    answers = drawn_answers(TREE, 100, np.random.default_rng(3))
    votes = np.full_like(answers, np.nan)
    fitted = fit_concentrations(TREE, answers, votes)
    assert fitted.questions == {}
    assert (fitted.of(TREE, answers) == 1).all()


@given(st.floats(1e-4, 1 - 1e-4), st.floats(0.5, 2000), st.sampled_from([0.05, 0.25]))
def test_the_table_of_quantiles_is_close(mean: float, strength: float, tail: float) -> None:
    exact = betaincinv(mean * strength, (1 - mean) * strength, tail)
    assert beta_quantiles([mean], [strength], tail)[0] == pytest.approx(exact, abs=0.005)
