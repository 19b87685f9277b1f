"""What eight votes can tell at best: ``python -m tests.benchmarks.vote_ceiling DATA ANSWERS [--seeds 3]``.

DATA and ANSWERS are those of `tests.benchmarks.volunteers`, and so are volunteers and galaxies. Prints JSON:
of each question the error of the shares and the accuracy of the answers, of those that half of the volunteers
were asked about, for

``plain_8``, ``plain_40``
    fractions of so many votes;
``ours_8``
    the consensus, with the network as the prior;
``best_8``
    who knows each volunteer's confusion matrix, and how true shares scatter about the network's answers (the
    prior is fitted to the true shares, forty votes each), and draws from the posterior;
``best_8_without_network``
    who knows each volunteer's confusion matrix, and the true shares of all other galaxies: each is as likely.

``perfect_network`` has accuracies alone: of a network that knows the shares of all people (true shares are
those of forty of them), by itself and with eight votes; and of forty plain votes. Its galaxies are drawn from
the prior of all galaxies.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.ballots import Ballots, sums_of_votes
from pipeline.volunteers.bayesian import aggregate
from pipeline.volunteers.prior import Prior, fit_prior
from pipeline.volunteers.simulator import Crowd, conditional_shares, crowd, simulate
from pipeline.volunteers.weights import fractions
from tests.benchmarks.volunteers import USERS, fair_galaxies, network_answers

DRAWS, GALAXIES = 1_500, 600
FEW, MANY = 8, 40


def said_if_seen(ballots: Ballots, people: Crowd, number: int, galaxies: np.ndarray) -> list[np.ndarray]:
    """Of each galaxy's votes on a question the probability that the user says so, by what is seen."""
    (block,) = ballots.blocks()
    votes = block.on(number)
    matrices = np.diff(people.cumulative_confusion[number], axis=2, prepend=0)
    likelihood = matrices[votes.user, :, votes.answer]
    order = np.argsort(votes.galaxy, kind="stable")
    bounds = np.searchsorted(votes.galaxy[order], np.arange(len(ballots.subjects) + 1))
    return [likelihood[order[bounds[one] : bounds[one + 1]]] for one in galaxies]


def posterior(shares: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Weights of possible shares, shape (n, answers), by the votes; they sum to 1."""
    logarithm = np.log(shares @ votes.T + 1e-300).sum(axis=1)
    weights = np.exp(logarithm - logarithm.max())
    return np.asarray(weights / weights.sum())


def leading(shares: np.ndarray, weights: np.ndarray) -> int:
    """The answer that most probably has the largest share."""
    return int(np.bincount(shares.argmax(axis=1), weights).argmax())


def judged(answers: np.ndarray, means: np.ndarray, truth: np.ndarray) -> list[float]:
    """Root mean square error of the shares, and accuracy of the answers."""
    return [float(np.sqrt(((means - truth) ** 2).mean())), float((answers == truth.argmax(axis=1)).mean())]


def best(possible: list[np.ndarray], votes: list[np.ndarray], truth: np.ndarray) -> list[float]:
    """Of who knows which shares are possible, and what each vote tells."""
    weights = [posterior(shares, likelihood) for shares, likelihood in zip(possible, votes, strict=True)]
    pairs = list(zip(possible, weights, strict=True))
    means = np.stack([weight @ shares for shares, weight in pairs])
    return judged(np.array([leading(*pair) for pair in pairs]), means, truth)


def perfect(
    tree: DecisionTree, prior: Prior, people: Crowd, asked: dict[str, float], rng: np.random.Generator
) -> dict[str, list[float]]:
    """Accuracies of a network that knows the share of all people."""
    activity, alpha, result = people.activity / people.activity.sum(), prior.without_network(), {}
    for number, (key, where) in enumerate(tree.slices.items()):
        matrices = np.diff(people.cumulative_confusion[number], axis=2, prepend=0)
        few, many = (max(round(count * asked[key]), 1) for count in (FEW, MANY))
        right = []
        for everyone in rng.dirichlet(alpha[where], GALAXIES):
            truth = rng.multinomial(many, everyone) / many
            users = rng.choice(USERS, many, p=activity)
            chances = truth @ matrices[users]
            said = (chances.cumsum(axis=1) <= rng.random((many, 1))).sum(axis=1).clip(max=len(truth) - 1)
            possible = rng.multinomial(many, everyone, DRAWS) / many
            weights = posterior(possible, matrices[users[:few], :, said[:few]])
            answers = everyone.argmax(), leading(possible, weights), np.bincount(said).argmax()
            right.append(np.array(answers) == truth.argmax())
        result[key] = np.mean(right, axis=0).round(4).tolist()
    return result


def main() -> None:
    """Simulate, compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("answers")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    tree = load_tree()
    ids, fair = fair_galaxies(given.data, tree)
    shares, network = conditional_shares(tree, fair), network_answers(given.answers, tree, ids)
    asked = np.stack([fair[:, where].sum(axis=1) for where in tree.slices.values()], axis=1)
    counted = np.hstack([MANY * fair[:, where] for where in tree.slices.values()])
    prior = fit_prior(tree, counted, network)
    alpha = prior.of_galaxies(len(ids), network)
    found: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        people = crowd(tree, USERS, rng)
        forty, eight = (simulate(tree, shares, people, each, rng) for each in (MANY, FEW))
        tables = {
            "plain_8": fractions(tree, sums_of_votes(eight)),
            "plain_40": fractions(tree, sums_of_votes(forty)),
            "ours_8": aggregate(eight, network).shares,
        }
        for number, (key, where) in enumerate(tree.slices.items()):
            some = network.galaxies[asked[network.galaxies, number] >= 0.5]
            truth, votes = shares[some, where], said_if_seen(eight, people, number, some)
            for name, table in tables.items():
                found[key][name].append(judged(table[some, where].argmax(axis=1), table[some, where], truth))
            drawn = [rng.dirichlet(alpha[one, where], DRAWS) for one in some]
            found[key]["best_8"].append(best(drawn, votes, truth))
            others = [shares[(asked[:, number] > 0) & (np.arange(len(ids)) != one), where] for one in some]
            found[key]["best_8_without_network"].append(best(others, votes, truth))
    questions = {key: float(part[part >= 0.5].mean()) for key, part in zip(tree.slices, asked.T, strict=True)}
    means = {k: {n: np.mean(v, axis=0).round(4).tolist() for n, v in one.items()} for k, one in found.items()}
    perfects = perfect(tree, prior, people, questions, rng)
    print(json.dumps({"galaxies": len(ids), "questions": means, "perfect_network": perfects}, indent=1))


if __name__ == "__main__":
    main()
