"""Which answers are settled, by whom, and what more votes would gain."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tree import DecisionTree
from pipeline.volunteers.settlement import (
    BY_BOTH,
    BY_NETWORK,
    BY_PEOPLE,
    NOT_ASKED,
    OPEN,
    Settlement,
    Terms,
    settlement,
)

TERMS = Terms(sure=0.9, votes_each=40, price=0.0075)


def settled(tree: DecisionTree, prior: dict[str, list[float]], votes: dict[str, list[float]]) -> Settlement:
    """Of one galaxy; a prior of one vote, evenly, where nothing is said."""
    anyone = np.concatenate([np.full(len(q.answers), 1 / len(q.answers)) for q in tree.questions])
    network, counts = anyone[None].copy(), np.zeros((1, tree.answer_count))
    for key, values in prior.items():
        network[0, tree.slices[key]] = values
    for key, values in votes.items():
        counts[0, tree.slices[key]] = values
    looked = counts[:, tree.slices[tree.questions[0].key]].sum(axis=1)
    return settlement(tree, network, anyone, counts, looked, TERMS)


@pytest.mark.parametrize(
    ("prior", "votes", "state"),
    [
        ([0.3, 0.4, 0.3], [0, 0, 0], OPEN),
        ([18, 1, 1], [0, 0, 0], BY_NETWORK),
        ([18, 1, 1], [5, 0, 0], BY_NETWORK),
        ([0.3, 0.4, 0.3], [12, 1, 0], BY_PEOPLE),
        ([4, 1.5, 0.5], [3, 1, 0], BY_BOTH),
        ([3, 1, 1], [1, 4, 0], OPEN),
        ([18, 1, 1], [0, 36, 0], BY_PEOPLE),
    ],
)
def test_who_settles_an_answer(
    tree: DecisionTree, prior: list[float], votes: list[float], state: int
) -> None:
    key = tree.questions[0].key
    known = settled(tree, {key: prior}, {key: votes})
    assert known.state[0, 0] == state
    assert known.answer[0, 0] == np.argmax(np.add(prior, votes))
    assert state == OPEN or known.probability[0, 0] >= TERMS.sure
    assert (known.gain[0, 0] >= TERMS.price) == (known.looks[0, 0] >= 1) == (state == OPEN)


def test_what_forty_are_split_over_stays_open_for_others(tree: DecisionTree) -> None:
    key = tree.questions[0].key
    known = settled(tree, {key: [1.0, 1.0, 0.1]}, {key: [21.0, 19.0, 0.0]})
    assert known.state[0, 0] == OPEN
    assert 0.5 < known.probability[0, 0] < TERMS.sure
    assert known.gain[0, 0] == known.looks[0, 0] == 0


def test_who_is_behind_and_catches_up_no_more(tree: DecisionTree) -> None:
    """The network's favourite, of which 14 of 34 people are."""
    key = tree.questions[0].key
    known = settled(tree, {key: [18.0, 1.0, 1.0]}, {key: [14.0, 20.0, 0.0]})
    assert known.answer[0, 0] == 1


def test_what_few_are_asked_is_no_question(tree: DecisionTree) -> None:
    known = settled(tree, {tree.questions[0].key: [30.0, 1.0, 1.0]}, {})
    numbers = {question.key: number for number, question in enumerate(tree.questions)}
    assert known.state[0, numbers["spiral_arm_count"]] == NOT_ASKED
    assert known.state[0, numbers["how_rounded"]] == OPEN
    assert (known.gain[known.state != OPEN] == 0).all()
    assert np.isnan(known.probability[known.state == NOT_ASKED]).all()
