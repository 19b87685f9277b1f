"""Thresholds that keep their promise on galaxies that they weren't learnt from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.evaluation.triage import (
    NOT_ASKED,
    SETTLED,
    TO_PEOPLE,
    Threshold,
    answered,
    learn_threshold,
    plurality_probability,
    split,
)
from pipeline.tree import DecisionTree
from tests.support.votes import sample


def test_what_is_promised_holds_on_unseen_galaxies_as_often_as_said(tree: DecisionTree) -> None:
    rng = np.random.default_rng(1)
    question = tree.questions[0]
    unseen, truth = sample(tree, 100_000, rng)
    right = unseen.argmax(axis=1) == truth.argmax(axis=1)
    broken = settled = 0
    for _ in range(200):
        threshold = learn_threshold(tree, question, *sample(tree, 300, rng), target=0.9, risk=0.1)
        if threshold.confidence is not None:
            states, _ = split(tree, [threshold], unseen)
            settled += 1
            broken += right[states[:, 0] == SETTLED].mean() < 0.9
    assert settled >= 150  # the test would say nothing if all were left to people
    assert binomtest(int(broken), 200, 0.1, alternative="greater").pvalue > 0.01


def test_more_labels_settle_more(tree: DecisionTree) -> None:
    rng = np.random.default_rng(2)
    predicted, votes = sample(tree, 20_000, rng)
    few, many = (
        learn_threshold(tree, tree.questions[0], predicted[:n], votes[:n], 0.9) for n in (300, 20_000)
    )
    assert few.confidence is not None
    assert many.confidence is not None
    assert many.settled / many.galaxies > few.settled / few.galaxies
    assert many.low <= many.accuracy <= many.high


def test_answers_that_know_nothing_all_go_to_people(tree: DecisionTree) -> None:
    threshold = learn_threshold(
        tree, tree.questions[0], *sample(tree, 500, np.random.default_rng(3), honest=False), target=0.9
    )
    assert threshold.confidence is None
    assert threshold.settled == 0
    states, _ = split(tree, [threshold], sample(tree, 50, np.random.default_rng(4))[0])
    assert (states == TO_PEOPLE).all()


@pytest.mark.parametrize("missing", [np.nan, 0.0])
def test_galaxies_that_nobody_was_asked_about_teach_nothing(tree: DecisionTree, missing: float) -> None:
    predicted, votes = sample(tree, 400, np.random.default_rng(5))
    votes[200:] = missing
    whole, half = (
        learn_threshold(tree, tree.questions[0], predicted[:n], votes[:n], 0.8) for n in (400, 200)
    )
    assert whole == half
    nobody = learn_threshold(tree, tree.questions[0], predicted[200:], votes[200:], 0.8)
    assert (nobody.galaxies, nobody.confidence) == (0, None)


@settings(max_examples=30)
@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_galaxy_is_settled_at_the_threshold_and_above_where_it_is_asked(
    tree: DecisionTree, least: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    predicted = np.zeros((20, tree.answer_count))
    question = next(q for q in tree.questions if q.key in tree.gates)
    where = tree.slices[question.key]
    predicted[:, where] = rng.dirichlet(np.ones(where.stop - where.start), 20) * rng.random((20, 1))
    threshold = Threshold(question.key, 0.9, least, 1, 1, 1.0, 0.0, 1.0)
    states, confidence = split(tree, [threshold], predicted)
    asked = predicted[:, where].sum(axis=1) >= 0.5
    assert ((states[:, 0] == NOT_ASKED) == ~asked).all()
    assert ((states[:, 0] == SETTLED) == (asked & (confidence[:, 0] >= least))).all()


@pytest.mark.parametrize("worth", [0.7, 6.0, 60.0])
@pytest.mark.parametrize("shares", [[0.6, 0.4], [0.5, 0.3, 0.2], [0.4, 0.39, 0.21]])
def test_the_first_of_two_answers_is_ahead_as_often_as_said(shares: list[float], worth: float) -> None:
    mixed = 0.99 * np.array(shares) + 0.01 / len(shares)
    drawn = np.random.default_rng(0).dirichlet(worth * mixed, 200_000)
    expected = (drawn[:, 0] > drawn[:, 1]).mean()
    found = plurality_probability([shares[::-1]], [worth])
    assert found == pytest.approx([expected], abs=0.005)


def test_what_an_answer_is_worth_settles_what_probabilities_cannot_tell_apart(tree: DecisionTree) -> None:
    """All answers are 0.7 to 0.3; of half of the galaxies volunteers are of all minds."""
    rng = np.random.default_rng(6)
    question = tree.questions[0]
    predicted, votes = np.zeros((2, 4000, tree.answer_count))
    predicted[:, :2] = 0.7, 0.3
    volunteers = np.ones((4000, len(tree.questions)))
    volunteers[:2000, 0] = 30
    shares = rng.beta(volunteers[:, 0] * 0.7, volunteers[:, 0] * 0.3)
    votes[:, 0], votes[:, 1] = shares, 1 - shares
    blind = learn_threshold(tree, question, predicted, votes, 0.95)
    assert blind.confidence is None
    seeing = learn_threshold(tree, question, predicted, votes, 0.95, volunteers=volunteers)
    assert seeing.settled == 2000
    states, confidence = split(tree, [seeing], predicted, volunteers)
    assert (states[:2000] == SETTLED).all()
    assert (states[2000:] == TO_PEOPLE).all()
    assert confidence[0, 0] > 0.97


def test_a_question_that_nobody_is_asked_has_no_confidence(tree: DecisionTree) -> None:
    predicted, worth = np.zeros((1, tree.answer_count)), np.full((1, len(tree.questions)), 9.0)
    assert answered(tree, tree.questions[1], predicted, worth).confidence.tolist() == [0.0]
