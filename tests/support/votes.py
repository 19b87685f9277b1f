"""Predictions and votes that go with them."""

from __future__ import annotations

import numpy as np

from pipeline.tree import DecisionTree


def sample(
    tree: DecisionTree, count: int, rng: np.random.Generator, honest: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Answers to the first question, and votes for one answer each: the likelier the surer the prediction."""
    predicted, votes = np.zeros((2, count, tree.answer_count))
    where = tree.slices[tree.questions[0].key]
    p = rng.dirichlet(np.full(where.stop - where.start, 0.2), count)
    chosen = (p.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    if not honest:
        chosen = rng.integers(0, p.shape[1], count)
    predicted[:, where] = p
    votes[np.arange(count), where.start + chosen] = 1
    return predicted, votes
