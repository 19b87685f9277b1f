"""What a student learns of votes and of a teacher's answers."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipes.teaching import taught_votes
from pipeline.network.output import TreeOutput
from pipeline.tree import load_tree

TREE = load_tree()


def drawn(seed: int, count: int) -> np.ndarray:
    """Sound answers at random, to some questions nobody's."""
    raw = torch.randn(count, TREE.answer_count, generator=torch.Generator().manual_seed(seed))
    return TreeOutput(TREE)(raw).double().numpy()


@given(st.integers(0, 2**31), st.sets(st.sampled_from([q.key for q in TREE.questions])))
def test_what_is_not_known_is_answered_by_those_who_are_asked(seed: int, unknown: set[str]) -> None:
    votes, answers = drawn(seed, 20), drawn(seed + 1, 20)
    for key in unknown:
        votes[:, TREE.slices[key]] = np.nan
    learnt = taught_votes(TREE, votes, answers, share=0.0)
    assert np.array_equal(learnt[~np.isnan(votes)], votes[~np.isnan(votes)])
    for key in unknown:
        gate = TREE.gates.get(key)
        asked = np.ones(20) if gate is None else learnt[:, list(gate)].sum(axis=1)
        assert np.allclose(learnt[:, TREE.slices[key]].sum(axis=1), asked)


def test_known_votes_and_answers_are_mixed() -> None:
    votes, answers = drawn(1, 50), drawn(2, 50)
    assert np.allclose(taught_votes(TREE, votes, answers, 0.25), 0.25 * answers + 0.75 * votes)
    assert np.array_equal(taught_votes(TREE, np.full_like(votes, np.nan), answers, 1.0), answers)
