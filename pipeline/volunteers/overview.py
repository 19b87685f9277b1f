"""An overview of a consensus: users by kind, how far people agree, how long galaxies took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tree import LEAST_ASKED, DecisionTree, agreement
from pipeline.volunteers.ballots import Ballots
from pipeline.volunteers.bayesian import KINDS, Knowledge, cumulative
from pipeline.volunteers.store import read_votes_table
from pipeline.volunteers.weights import Weighted

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Users:
    """Users of one kind: those that are most probably of it.

    Attributes
    ----------
    votes
        How many they gave.
    weight
        Mean of their votes' weights by Galaxy Zoo 2's rule.
    consistency : ndarray, shape (n,)
        By the same rule, of each that gave votes.
    """

    kind: str
    users: int
    votes: int
    weight: float
    consistency: NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far people agree on a question, over galaxies that at least half of them would be asked it of.

    Attributes
    ----------
    agreement
        Mean of a(p) (Dieleman et al. 2015, section 9): 1 if all say the same, 0 if all answers are alike.
    leading
        Mean share of the most frequent answer.
    votes
        Mean number of votes.
    """

    question: str
    galaxies: int
    agreement: float
    leading: float
    votes: float


def users_by_kind(ballots: Ballots, weighted: Weighted, knowledge: Knowledge) -> list[Users]:
    """Users of each kind."""
    counts = np.zeros(len(ballots.users), np.int64)
    for block in ballots.blocks():
        counts += np.bincount(block.user, minlength=len(counts))
    likeliest, result = knowledge.kinds.argmax(axis=1), []
    for number, kind in enumerate(KINDS):
        some = (likeliest == number) & (counts > 0)
        votes = int(counts[some].sum())
        weight = float((counts * weighted.user_weights)[some].sum() / max(votes, 1))
        result.append(Users(kind, int(some.sum()), votes, weight, weighted.consistency[some]))
    return result


def agreement_by_question(tree: DecisionTree, weighted: Weighted, knowledge: Knowledge) -> list[Agreement]:
    """Agreement on each question, the hardest first; questions that nobody is to be asked are left out."""
    shares, result = knowledge.shares, []
    of_all = cumulative(tree, shares)
    for key, where in tree.slices.items():
        asked = of_all[:, where].sum(axis=1) >= LEAST_ASKED
        if asked.any():
            own = shares[asked, where]
            votes = float(weighted.counts[asked, where].sum(axis=1).mean())
            means = float(agreement(own).mean()), float(own.max(axis=1).mean())
            result.append(Agreement(key, int(asked.sum()), *means, votes))
    return sorted(result, key=lambda one: one.agreement)


def days_of_galaxies(uri: str, subjects: Sequence[str]) -> NDArray[np.float64]:
    """Days from the first look at each galaxy to the last one, shape (galaxies,)."""
    code = {subject: number for number, subject in enumerate(subjects)}
    first = np.full(len(subjects), np.iinfo(np.int64).max)
    last = np.full(len(subjects), np.iinfo(np.int64).min)
    for batch in read_votes_table(uri, ["subject", "time"]):
        names = batch["subject"].dictionary.to_pylist()
        codes = np.array([code[name] for name in names], np.int64)[batch["subject"].indices.to_numpy()]
        times = batch["time"].cast(pa.int64()).to_numpy()
        np.minimum.at(first, codes, times)
        np.maximum.at(last, codes, times)
    return np.asarray((last - first) / _DAY)
