"""Simulated volunteers, who look at galaxies whose shares are known: for tests, and to plan how many to ask.

A volunteer walks down the tree. At each question one of the answers is seen, as often as the galaxy's share
says, and one is given, as the volunteer's own confusion matrix says; that leads to the next question.
Careless volunteers give any answer, malicious ones any but the one seen, bots always the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.tree import DecisionTree
from pipeline.volunteers.ballots import Ballots, ballots_of

CAREFUL, CARELESS, MALICIOUS, BOT = range(4)


@dataclass(frozen=True)
class Crowd:
    """Volunteers.

    Attributes
    ----------
    kinds : ndarray, shape (users,), int8
        `CAREFUL`, `CARELESS`, `MALICIOUS` or `BOT`.
    activity : ndarray, shape (users,), float64
        Proportional to how often each turns up.
    said : list of ndarray, shape (users, seen, said), float64
        Of each question the confusion matrices, summed up along the answers that are said.
    """

    kinds: NDArray[np.int8]
    activity: NDArray[np.float64]
    cumulative_confusion: list[NDArray[np.float64]]


def crowd(
    tree: DecisionTree,
    users: int,
    rng: np.random.Generator,
    careless: float = 0.1,
    malicious: float = 0.01,
    bots: float = 0.0,
    accuracy: float = 0.95,
    spread: float = 1.5,
) -> Crowd:
    """Draw volunteers.

    Parameters
    ----------
    careless, malicious, bots
        Shares of the volunteers; the rest are careful.
    accuracy
        Mean probability with which a careful one says what it sees; it is Beta-distributed, and slips go to
        some answers rather than to others.
    spread
        Standard deviation of the logarithm of the activity: few do most of the work.
    """
    kinds = rng.choice(4, users, p=[1 - careless - malicious - bots, careless, malicious, bots]).astype(
        np.int8
    )
    cumulative_confusion = []
    for question in tree.questions:
        wide = len(question.answers)
        same = np.eye(wide)
        right = rng.beta(20 * accuracy, 20 * (1 - accuracy), (users, wide, 1))
        slips = rng.dirichlet(np.ones(wide - 1), (users, wide)) if wide > 1 else np.zeros((users, 1, 0))
        matrices = right * same
        matrices[:, ~same.astype(bool)] += ((1 - right) * slips).reshape(users, -1)
        matrices[kinds == CARELESS] = 1 / wide
        matrices[kinds == MALICIOUS] = (1 - same) / (wide - 1)
        of_bots = np.flatnonzero(kinds == BOT)
        matrices[of_bots] = same[rng.integers(wide, size=len(of_bots)), None]
        cumulative_confusion.append(matrices.cumsum(axis=2))
    return Crowd(kinds, rng.lognormal(0.0, spread, users), cumulative_confusion)


def conditional_shares(tree: DecisionTree, fractions: ArrayLike) -> NDArray[np.float64]:
    """Shares among those who are asked, from cumulative fractions.

    Where nobody was asked a galaxy, they are those of all galaxies together.
    """
    cumulative = np.asarray(fractions, np.float64)
    shares = np.empty_like(cumulative)
    for where in tree.slices.values():
        part = cumulative[:, where]
        total, of_all = part.sum(axis=1, keepdims=True), part.sum(axis=0)
        wide = where.stop - where.start
        mean = of_all / of_all.sum() if of_all.sum() > 0 else np.full(wide, 1 / wide)
        shares[:, where] = np.divide(part, total, out=np.tile(mean, (len(part), 1)), where=total > 0)
    return shares


def classify(
    tree: DecisionTree,
    shares: NDArray[np.float64],
    volunteers: Crowd,
    galaxy: NDArray[np.int64],
    user: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Have users look at galaxies.

    Parameters
    ----------
    shares : ndarray, shape (galaxies, answers)
        See `conditional_shares`.
    galaxy, user : ndarray, shape (n,)
        Of each classification.

    Returns
    -------
    classification, answer : ndarray, shape (votes,)
        The votes: which classification each is of, and the column of its answer.
    """
    asked = {question.key: np.zeros(len(galaxy), bool) for question in tree.questions}
    for question in tree.questions:
        asked[question.key] |= question is tree.questions[0] or question.always_asked
    numbers = {question.key: number for number, question in enumerate(tree.questions)}
    votes, answers = [], []
    for key in tree.in_order():
        rows = np.flatnonzero(asked[key])
        number, where = numbers[key], tree.slices[key]
        sums = shares[:, where].cumsum(axis=1)[galaxy[rows]]
        seen = _drawn(sums, rng)
        answered = _drawn(volunteers.cumulative_confusion[number][user[rows], seen], rng)
        votes.append(rows)
        answers.append(where.start + answered)
        for place, answer in enumerate(tree.questions[number].answers):
            if answer.next is not None:
                asked[answer.next][rows[answered == place]] = True
    return np.concatenate(votes), np.concatenate(answers)


def _drawn(sums: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Places drawn by probabilities that are summed up along the second axis."""
    thrown = rng.random((len(sums), 1)) * sums[:, -1:]
    return np.asarray((sums <= thrown).sum(axis=1).clip(max=sums.shape[1] - 1))


def looks(
    galaxies: int, votes_each: int, volunteers: Crowd, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Who looks at what: so many different users at each galaxy, the active ones more often.

    Returns
    -------
    galaxy, user : ndarray, shape (galaxies · votes_each,)
        In the order of time: each galaxy once, then each once more.

    Raises
    ------
    ValueError
        If there are too few users.
    """
    sums = volunteers.activity.cumsum()
    galaxy = np.tile(np.arange(galaxies), votes_each)
    user = np.searchsorted(sums, rng.random(len(galaxy)) * sums[-1])
    for _ in range(100):  # nobody looks twice at a galaxy: draw those again
        order = np.lexsort((user, galaxy))
        twice = (np.diff(galaxy[order]) == 0) & (np.diff(user[order]) == 0)
        if not twice.any():
            break
        again = order[1:][twice]
        user[again] = np.searchsorted(sums, rng.random(len(again)) * sums[-1])
    else:
        raise ValueError(f"{len(sums)} users are too few for {votes_each} different ones at each galaxy")
    return galaxy, user.astype(np.int64)


def simulate(
    tree: DecisionTree,
    shares: NDArray[np.float64],
    volunteers: Crowd,
    votes_each: int,
    rng: np.random.Generator,
) -> Ballots:
    """Votes of so many volunteers for each galaxy."""
    galaxy, user = looks(len(shares), votes_each, volunteers, rng)
    classification, answer = classify(tree, shares, volunteers, galaxy, user, rng)
    return ballots_of(
        tree,
        galaxy[classification],
        user[classification],
        classification,
        answer,
        len(shares),
        len(volunteers.kinds),
    )
