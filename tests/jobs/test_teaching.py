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


def asked(learnt: np.ndarray, key: str) -> np.ndarray:
    gate = TREE.gates.get(key)
    return np.ones(len(learnt)) if gate is None else learnt[:, list(gate)].sum(axis=1)


@given(st.integers(0, 2**31), st.integers(0, len(TREE.questions)), st.floats(0, 1))
def test_what_is_learnt_is_a_label(seed: int, known: int, share: float) -> None:
    """Also where nobody answers what is asked, and where a teacher says nothing in one of two views."""
    votes, answers = drawn(seed, 20), (drawn(seed + 1, 20) + drawn(seed + 2, 20)) / 2
    for key in TREE.in_order()[known:]:
        votes[:, TREE.slices[key]] = np.nan
    learnt = taught_votes(TREE, votes, answers, share)
    for key, own in TREE.slices.items():
        assert np.allclose(learnt[:, own].sum(axis=1), asked(learnt, key))


def test_known_votes_stay_and_are_mixed_with_answers() -> None:
    votes, answers = drawn(1, 200), drawn(2, 200)
    sound = [
        np.all([np.allclose(one[own].sum(), asked(one[None], key)) for key, own in TREE.slices.items()])
        for pair in zip(votes, answers, strict=True)
        for one in pair
    ]
    both = np.array(sound).reshape(-1, 2).all(axis=1)
    assert both.any()
    learnt = taught_votes(TREE, votes, answers, 0.25)
    assert np.allclose(learnt[both], (0.25 * answers + 0.75 * votes)[both])
