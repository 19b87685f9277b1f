"""Exports of simulated volunteers' classifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.tree import DecisionTree
from pipeline.volunteers import crowd
from pipeline.volunteers.simulator import classify, looks
from tests.support.exports import row


def crowd_rows(
    tree: DecisionTree, ids: Sequence[str], voted: int, each: int, users: int, name: str = "user {}"
) -> list[dict[str, Any]]:
    """Rows of an export in which each of the first `voted` galaxies is classified `each` times.

    Galaxies have shares of the votes that are drawn at random, for all `ids`.
    """
    rng = np.random.default_rng(1)
    people = crowd(tree, users, rng, spread=0.2)
    shares = np.hstack([rng.dirichlet(np.ones(len(q.answers)), len(ids)) for q in tree.questions])
    galaxy, user = looks(voted, each, people, rng)
    number, column = classify(tree, shares, people, galaxy, user, rng)
    keys = [(q.key, a.key) for q in tree.questions for a in q.answers]
    return [
        row(n, name.format(user[n]), ids[galaxy[n]], [keys[c] for c in column[number == n]])
        for n in range(len(galaxy))
    ]
