"""What votes come to: weights by consistency, confusion, shares and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tree import DecisionTree
from pipeline.volunteers import (
    Ballots,
    NetworkAnswers,
    Online,
    aggregate,
    ballots_of,
    conditional_shares,
    crowd,
    fractions,
    settle,
    simulate,
    sums_of_votes,
    weighted_votes,
)
from pipeline.volunteers.bayesian import TOLERANCE, cumulative, kind_matrices
from pipeline.volunteers.prior import as_seen, fit_prior
from pipeline.volunteers.simulator import BOT, CAREFUL, CARELESS, MALICIOUS, Crowd, classify, looks
from pipeline.volunteers.table import share_bounds
from tests.support.dawid_skene import dawid_skene

USERS = 60


@pytest.fixture(scope="module")
def shares(tree: DecisionTree) -> np.ndarray:
    """Of 120 galaxies, from clear ones to some that divide people."""
    rng = np.random.default_rng(1)
    return np.hstack([rng.dirichlet(np.full(len(q.answers), 0.5), 120) for q in tree.questions])


@pytest.fixture(scope="module")
def people(tree: DecisionTree) -> Crowd:
    return crowd(tree, USERS, np.random.default_rng(2), 0.2, 0.1, bots=0.05, spread=0.3)


@pytest.fixture(scope="module")
def ballots(tree: DecisionTree, shares: np.ndarray, people: Crowd) -> Ballots:
    return simulate(tree, shares, people, 15, np.random.default_rng(3))


def first(tree: DecisionTree) -> slice:
    return tree.slices[tree.questions[0].key]


def error(tree: DecisionTree, found: np.ndarray, shares: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found[:, first(tree)] - shares[:, first(tree)]) ** 2)))


def plainly_weighted(tree: DecisionTree, votes: list[tuple[int, int, int]], rounds: int) -> np.ndarray:
    """The weights of users, vote by vote."""
    users = sorted({user for _, user, _ in votes})
    weights = dict.fromkeys(users, 1.0)
    question = {c: where for where in tree.slices.values() for c in range(where.start, where.stop)}
    for _ in range(rounds):
        kappas: dict[int, list[float]] = {user: [] for user in users}
        for galaxy, user, column in votes:
            where = question[column]
            same = [(c, weights[u]) for g, u, c in votes if g == galaxy and question[c] == where]
            total = sum(weight for _, weight in same)
            kappa = 0.0
            for answer in range(where.start, where.stop):
                share = sum(weight for c, weight in same if c == answer) / total
                kappa += share if answer == column else 1 - share
            kappas[user].append(kappa / (where.stop - where.start))
        weights = {user: min(1.0, (np.mean(kappas[user]) / 0.6) ** 8.5) for user in users}
    return np.array([weights[user] for user in users])


@settings(max_examples=25, deadline=None)
@given(
    votes=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25
    ),
    rounds=st.integers(1, 3),
)
def test_weights_are_those_of_the_formula(
    votes: list[tuple[int, int, int]], rounds: int, tree: DecisionTree
) -> None:
    votes = list({(g, u, c > 2): (g, u, c) for g, u, c in votes}.values())  # one answer to a question each
    codes = {user: code for code, user in enumerate(sorted({user for _, user, _ in votes}))}
    galaxy, user, column = np.array(votes).T
    coded = [codes[one] for one in user.tolist()]
    found = weighted_votes(ballots_of(tree, galaxy, coded, coded, column), rounds)
    np.testing.assert_allclose(found.user_weights, plainly_weighted(tree, votes, rounds), rtol=1e-9)
    assert found.counts.sum() == len(votes)


def test_of_a_user_who_looks_twice_the_last_time_counts(tree: DecisionTree) -> None:
    galaxy, user, ids, column = np.array(
        [(0, 0, 5, 0), (0, 0, 9, 1), (0, 0, 9, 3), (0, 1, 6, 0), (1, 0, 7, 0), (0, 0, 5, 15)]
    ).T
    ballots = ballots_of(tree, galaxy, user, ids, column)
    counts = sums_of_votes(ballots)
    assert counts[0, [0, 1, 3, 15]].tolist() == [1, 1, 1, 0]
    assert counts[1, 0] == 1
    assert ballots.classifications.tolist() == [2, 1]


def test_kinds_of_users_are_told_apart(ballots: Ballots, people: Crowd) -> None:
    knowledge = aggregate(ballots)
    kinds = knowledge.kinds.argmax(axis=1)
    voted = knowledge.evidence.any(axis=1)
    for kind in (CAREFUL, CARELESS, MALICIOUS):
        assert (kinds == kind)[voted & (people.kinds == kind)].mean() > 0.8, kind


def test_shares_are_nearer_than_fractions(
    tree: DecisionTree, ballots: Ballots, shares: np.ndarray, people: Crowd
) -> None:
    weighted = weighted_votes(ballots)
    plain, by_weight = (error(tree, fractions(tree, x), shares) for x in (weighted.counts, weighted.weights))
    ours = error(tree, aggregate(ballots).shares, shares)
    assert ours < by_weight < plain


def test_a_network_helps_as_far_as_it_is_right(
    tree: DecisionTree, ballots: Ballots, shares: np.ndarray
) -> None:
    rng = np.random.default_rng(4)
    noisy = shares + 0.02
    good = NetworkAnswers(np.arange(120), cumulative(tree, noisy), np.full((120, 11), 20.0))
    bad = NetworkAnswers(np.arange(120), cumulative(tree, rng.permutation(noisy)), np.full((120, 11), 20.0))
    alone = error(tree, aggregate(ballots).shares, shares)
    assert error(tree, aggregate(ballots, good).shares, shares) < 0.7 * alone
    assert error(tree, aggregate(ballots, bad).shares, shares) < 1.05 * alone


def test_where_all_agree_it_is_what_dawid_and_skene_find(tree: DecisionTree, people: Crowd) -> None:
    """With one answer a galaxy both models are the same."""
    rng = np.random.default_rng(5)
    wide = [len(question.answers) for question in tree.questions]
    pure = np.hstack([np.eye(k)[rng.integers(k, size=150)] for k in wide])
    ballots = simulate(tree, pure, people, 9, rng)
    (block,) = ballots.blocks()
    votes = block.on(0)
    truth = dawid_skene(votes.galaxy, votes.user, votes.answer, wide[0]).argmax(axis=1)
    ours = aggregate(ballots).shares[:, first(tree)].argmax(axis=1)
    assert (ours == truth).mean() > 0.98
    assert (ours == pure[:, first(tree)].argmax(axis=1)).mean() > 0.98


def test_online_and_batch_agree(tree: DecisionTree, shares: np.ndarray, people: Crowd) -> None:
    """One pass over the votes as they come is near; gone over again from there, it's the same."""
    rng = np.random.default_rng(6)
    galaxy, user = looks(len(shares), 15, people, rng)
    number, column = classify(tree, shares, people, galaxy, user, rng)
    whole = ballots_of(tree, galaxy[number], user[number], number, column, len(shares), USERS)
    batch = aggregate(whole, tolerance=1e-6, max_rounds=500)
    online = Online(tree, batch.alpha, USERS)
    for chunk in np.array_split(np.arange(len(galaxy)), 30):
        rows = np.flatnonzero((number >= chunk[0]) & (number <= chunk[-1]))
        g, u = galaxy[number[rows]], user[number[rows]]
        online.add(ballots_of(tree, g, u, number[rows], column[rows], len(shares), USERS))
    near = np.abs(online.knowledge.shares - batch.shares)
    assert near.mean() < 0.06
    settled = settle(online.knowledge, whole, 1e-6, 500)
    assert np.abs(settled.shares - batch.shares).max() < 1e-4


def test_intervals_hold_as_many_shares_as_they_say(tree: DecisionTree) -> None:
    rng = np.random.default_rng(7)
    shares = np.hstack([rng.dirichlet(np.ones(len(q.answers)), 300) for q in tree.questions])
    careful = crowd(tree, 100, rng, 0, 0, accuracy=0.999)
    knowledge = aggregate(simulate(tree, shares, careful, 10, rng))
    votes = knowledge.alpha + knowledge.counts
    answers, truth = cumulative(tree, votes), cumulative(tree, shares)
    worth = np.stack([votes[:, where].sum(axis=1) for where in tree.slices.values()], axis=1)
    low, high = share_bounds(tree, answers, worth)
    assert ((low <= answers) & (answers <= high)).all()
    for where in tree.slices.values():
        inside = ((low[:, where] <= truth[:, where]) & (truth[:, where] <= high[:, where])).mean()
        assert 0.84 < inside < 0.97


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), votes_each=st.integers(1, 6))
def test_shares_are_shares_whatever_the_votes(seed: int, votes_each: int, tree: DecisionTree) -> None:
    rng = np.random.default_rng(seed)
    people = crowd(tree, 20, rng, 0.3, 0.2, 0.2, spread=0.2)
    shares = np.hstack([rng.dirichlet(np.full(len(q.answers), 0.3), 6) for q in tree.questions])
    ballots = simulate(tree, shares, people, votes_each, rng)
    knowledge = aggregate(ballots)
    counts = sums_of_votes(ballots)
    for number, where in enumerate(tree.slices.values()):
        np.testing.assert_allclose(knowledge.shares[:, where].sum(axis=1), 1)
        # No vote counts for more than one, and matrices are of probabilities.
        assert (knowledge.counts[:, where].sum(axis=1) <= counts[:, where].sum(axis=1) + 1e-9).all()
        np.testing.assert_allclose(knowledge.matrices(number).sum(axis=1), 1)
    assert np.isfinite(knowledge.alpha).all()
    assert (knowledge.alpha > 0).all()


def test_a_prior_of_galaxies_is_worth_what_they_have_in_common(tree: DecisionTree) -> None:
    rng = np.random.default_rng(8)
    counts = np.zeros((3000, tree.answer_count))
    where = first(tree)
    shares = rng.dirichlet([2.0, 3.0, 1.0], 3000)
    counts[:, where] = rng.multinomial(12, shares)
    alpha = fit_prior(tree, counts).without_network()[where]
    np.testing.assert_allclose(alpha, [2.0, 3.0, 1.0], rtol=0.12)


def test_what_is_seen_is_told_from_what_is_said() -> None:
    rng, alpha = np.random.default_rng(11), np.array([4.0, 2.0, 1.0])
    for share in (1.0, 0.8, 0.5):
        said = share * rng.dirichlet(alpha, 200_000) + (1 - share) / 3
        mean = said.mean(axis=0)
        strength = (mean * (1 - mean)).sum() / said.var(axis=0).sum() - 1
        np.testing.assert_allclose(as_seen(strength * mean[None], share)[0], alpha, rtol=0.05)


def test_a_prior_stays_as_strong_as_it_is_among_votes_that_are_not_faithful(tree: DecisionTree) -> None:
    """Galaxies scatter about a network's answers as twelve votes do."""
    rng, count = np.random.default_rng(12), 400
    means = np.hstack([rng.dirichlet(np.ones(len(q.answers)), count) for q in tree.questions])
    shares = np.hstack([rng.gamma(12 * means[:, w] + 0.01) + 1e-9 for w in tree.slices.values()])
    for where in tree.slices.values():
        shares[:, where] /= shares[:, where].sum(axis=1, keepdims=True)
    network = NetworkAnswers(np.arange(count), cumulative(tree, means), np.ones((count, len(tree.questions))))
    people = crowd(tree, 2_000, rng, careless=0.2, accuracy=0.9)
    knowledge = aggregate(simulate(tree, shares, people, 10, rng), network)
    where = first(tree)
    assert 8 < np.median(knowledge.alpha[:, where].sum(axis=1)) < 18
    assert 0.6 < knowledge.faithfulness[0] < 0.85


def test_simulated_votes_follow_shares_and_the_tree(tree: DecisionTree, shares: np.ndarray) -> None:
    rng = np.random.default_rng(9)
    careful = crowd(tree, 3000, rng, 0, 0, accuracy=0.9999, spread=0.3)
    ballots = simulate(tree, shares[:5], careful, 400, rng)
    counts = sums_of_votes(ballots)
    assert (ballots.classifications == 400).all()
    np.testing.assert_allclose(fractions(tree, counts)[:, first(tree)], shares[:5, first(tree)], atol=0.09)
    smooth = counts[:, first(tree)][:, 0]
    np.testing.assert_array_equal(counts[:, tree.slices["how_rounded"]].sum(axis=1), smooth)
    np.testing.assert_array_equal(counts[:, tree.slices["something_odd"]].sum(axis=1), 400)


def test_bots_say_the_same_and_malicious_ones_anything_else(tree: DecisionTree) -> None:
    rng = np.random.default_rng(10)
    people = crowd(tree, 300, rng, 0.2, 0.2, 0.2)
    (matrices, *_) = (np.diff(sums, axis=2, prepend=0) for sums in people.cumulative_confusion)
    np.testing.assert_allclose(matrices.sum(axis=2), 1)
    assert np.diagonal(matrices[people.kinds == MALICIOUS], axis1=1, axis2=2).max() < 1e-12
    assert set(np.unique(matrices[people.kinds == BOT])) == {0, 1}
    assert np.ptp(matrices[people.kinds == CARELESS]) < 1e-12


def test_conditional_shares_and_cumulative_ones_are_inverse(tree: DecisionTree, shares: np.ndarray) -> None:
    np.testing.assert_allclose(conditional_shares(tree, cumulative(tree, shares)), shares, atol=1e-9)


def test_matrices_of_kinds_are_of_probabilities() -> None:
    for wide in range(2, 8):
        np.testing.assert_allclose(kind_matrices(wide).sum(axis=1), 1)
    assert TOLERANCE < 0.01
