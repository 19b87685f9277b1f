"""Which answers are settled, by whom, and what more votes would gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tree import DecisionTree
from pipeline.volunteers.settlement import (
    BY_BOTH,
    BY_NETWORK,
    BY_PEOPLE,
    NOT_ASKED,
    OPEN,
    Settlement,
    settlement,
)

SURE = 0.9


def settled(tree: DecisionTree, prior: dict[str, list[float]], votes: dict[str, list[float]]) -> Settlement:
    """Of one galaxy; a prior of one vote, evenly, where nothing is said."""
    anyone = np.concatenate([np.full(len(q.answers), 1 / len(q.answers)) for q in tree.questions])
    network, counts = anyone[None].copy(), np.zeros((1, tree.answer_count))
    for key, values in prior.items():
        network[0, tree.slices[key]] = values
    for key, values in votes.items():
        counts[0, tree.slices[key]] = values
    return settlement(tree, network, anyone, counts, SURE)


@pytest.mark.parametrize(
    ("prior", "votes", "state"),
    [
        ([0.3, 0.4, 0.3], [0, 0, 0], OPEN),
        ([18, 1, 1], [0, 0, 0], BY_NETWORK),
        ([18, 1, 1], [5, 0, 0], BY_NETWORK),
        ([0.3, 0.4, 0.3], [12, 1, 0], BY_PEOPLE),
        ([4, 1.5, 0.5], [3, 1, 0], BY_BOTH),
        ([18, 1, 1], [0, 16, 0], OPEN),
        ([18, 1, 1], [0, 60, 0], BY_PEOPLE),
    ],
)
def test_who_settles_an_answer(
    tree: DecisionTree, prior: list[float], votes: list[float], state: int
) -> None:
    key = tree.questions[0].key
    known = settled(tree, {key: prior}, {key: votes})
    assert known.state[0, 0] == state
    assert known.answer[0, 0] == np.argmax(np.add(prior, votes))
    assert (known.probability[0, 0] >= SURE) == (state != OPEN)
    assert (known.gain[0, 0] > 0) == (state == OPEN)


def test_what_few_are_asked_is_no_question(tree: DecisionTree) -> None:
    known = settled(tree, {tree.questions[0].key: [30.0, 1.0, 1.0]}, {})
    numbers = {question.key: number for number, question in enumerate(tree.questions)}
    assert known.state[0, numbers["spiral_arm_count"]] == NOT_ASKED
    assert known.state[0, numbers["how_rounded"]] == OPEN
    assert (known.gain[known.state != OPEN] == 0).all()


@given(votes=st.lists(st.floats(0.05, 30), min_size=3, max_size=3))
@settings(deadline=None, max_examples=40)
def test_the_gain_is_what_votes_that_are_drawn_gain(tree: DecisionTree, votes: list[float]) -> None:
    """Drawn: the two leading answers' votes, four times over, and asked again which one leads."""
    known = settled(tree, {tree.questions[0].key: votes}, {})
    if known.state[0, 0] != OPEN:
        return
    second, first = np.sort(votes)[-2:]
    rng = np.random.default_rng(0)
    share = rng.beta(first, second, 200_000)
    more = rng.binomial(4, share)
    leads = np.array([np.mean(share[more == k] > 0.5) if (more == k).any() else 0.5 for k in range(5)])
    then = np.maximum(leads, 1 - leads)[more].mean()
    assert known.gain[0, 0] == pytest.approx((then - np.mean(share > 0.5)) / 4, abs=2e-3)
