"""Volunteers' votes drawn about a network's answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tree import DecisionTree


def drawn_answers(tree: DecisionTree, galaxies: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Cumulative probabilities that obey the tree, shape (n, answers)."""
    return _cumulative(
        tree, {q.key: random.dirichlet(np.ones(len(q.answers)), galaxies) for q in tree.questions}
    )


def drawn_votes(
    tree: DecisionTree,
    answers: NDArray[np.float64],
    strength: float,
    volunteers: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Cumulative fractions of so many volunteers, whose shares scatter about the answers."""
    shares = {}
    for question in tree.questions:
        own = answers[:, tree.slices[question.key]]
        conditional = (own + 1e-9) / (own + 1e-9).sum(axis=1, keepdims=True)
        drawn = random.gamma(strength * conditional + 1e-6)
        shares[question.key] = drawn / drawn.sum(axis=1, keepdims=True)
    votes = np.zeros_like(answers)
    for key in tree.in_order():
        gate = tree.gates.get(key)
        asked = np.full(len(answers), volunteers)
        if gate is not None:
            asked = np.rint(votes[:, list(gate)].sum(axis=1) * volunteers).astype(int)
        votes[:, tree.slices[key]] = random.multinomial(asked, shares[key]) / volunteers
    return votes


def _cumulative(tree: DecisionTree, shares: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    answers = np.zeros((len(next(iter(shares.values()))), tree.answer_count))
    for key in tree.in_order():
        gate = tree.gates.get(key)
        asked = 1.0 if gate is None else answers[:, list(gate)].sum(axis=1, keepdims=True)
        answers[:, tree.slices[key]] = asked * shares[key]
    return answers
