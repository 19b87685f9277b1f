"""People and machine: how many looks it takes to agree with forty people.

    python -m tests.benchmarks.loop LABELS.csv ANSWERS.parquet [--known 100] [--sure 0.95] [--seeds 5]

LABELS has the vote fractions of galaxies that the network wasn't trained on, ANSWERS the network's
cumulative answers for them, by ``object_id``. A galaxy's forty votes on the first question are its fractions;
looks draw from them, and what they agree with is the answer that most of the forty gave. The first `known`
galaxies teach what the network is worth, and aren't judged. Prints JSON: looks a galaxy at which so much
agrees, and how many times fewer than forty that is, of

``plain``
    everyone looks at the same number of times, no network;
``kade``
    who the network is 80 % sure of is looked at by nobody, but for a random fifth; all others forty times;
``people``, ``loop``
    each next look where it gains most, without a network and with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.prior import NetworkAnswers, Prior, fit_prior
from pipeline.volunteers.settlement import OPEN, settlement

LOOKS = 40
TARGETS = (0.90, 0.93, 0.95)
KADE_SURE, KADE_RANDOM = 0.8, 0.2


def pools(fractions: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Forty votes of each galaxy in a random order: counts after 0 … 40, shape (n, 41, answers)."""
    whole = fractions / fractions.sum(axis=1, keepdims=True) * LOOKS
    counts = np.floor(whole + 1e-6).astype(int)
    for row, left in enumerate(LOOKS - counts.sum(axis=1)):
        counts[row, np.argsort(counts[row] - whole[row], kind="stable")[:left]] += 1
    answers = np.arange(counts.shape[1])
    order = np.stack([rng.permutation(np.repeat(answers, row)) for row in counts])
    seen = (order[:, :, None] == answers).cumsum(axis=1)
    return np.concatenate([np.zeros_like(seen[:, :1]), seen], axis=1)


def rounds(
    tree: DecisionTree, alpha: NDArray[np.float64], prior: Prior, pool: NDArray[np.int64], sure: float
) -> Iterator[tuple[float, float]]:
    """Looks a galaxy and agreement, each round a look at the twentieth part in which it gains most."""
    where, truth = next(iter(tree.slices.values())), pool[:, -1].argmax(axis=1)
    looked = np.zeros(len(pool), int)
    counts = np.zeros(alpha.shape)
    for other in list(tree.slices.values())[1:]:
        alpha[:, other], alpha[:, other.start] = 1.0, 1e6  # settled: only the first question is asked
    while True:
        counts[:, where] = pool[np.arange(len(pool)), looked]
        known = settlement(tree, alpha, prior.of_any(), counts, sure)
        yield looked.mean(), float((known.answer[:, 0] == truth).mean())
        gain = np.where((known.state[:, 0] == OPEN) & (looked < LOOKS), known.gain[:, 0], -1)
        some = np.argsort(-gain, kind="stable")[: max(len(pool) // 20, 1)]
        some = some[gain[some] >= 0]
        if not len(some):
            return
        looked[some] += 1


def at_targets(course: list[tuple[float, float]]) -> dict[str, Any]:
    """The fewest looks at which so much agrees, and the end."""
    looks = {target: next((n for n, agrees in course if agrees >= target), None) for target in TARGETS}
    found = {
        f"{target:.0%}": None
        if n is None
        else {"looks": round(n, 2), "times_fewer": round(LOOKS / max(n, 1e-9), 1)}
        for target, n in looks.items()
    }
    return found | {"end": {"looks": round(course[-1][0], 2), "agrees": round(course[-1][1], 4)}}


def measured(
    tree: DecisionTree,
    fractions: NDArray[np.float64],
    answers: NDArray[np.float64],
    known: int,
    sure: float,
    seed: int,
) -> dict[str, Any]:
    """All ways, over one order of the votes."""
    rng, where = np.random.default_rng(seed), next(iter(tree.slices.values()))
    pool = pools(fractions[:, where], rng)
    ones = np.ones((len(answers), len(tree.questions)))
    counts = np.zeros((known, tree.answer_count))
    counts[:, where] = pool[:known, -1]
    prior = fit_prior(tree, counts, NetworkAnswers(np.arange(known), answers[:known], ones[:known]))
    pool, answers = pool[known:], answers[known:]
    truth = pool[:, -1].argmax(axis=1)
    by_network = prior.of(answers, ones[known:])
    by_people = np.tile(prior.of_any(), (len(pool), 1))
    machine = answers[:, where]
    trusted = (machine.max(axis=1) >= KADE_SURE) & (rng.random(len(pool)) >= KADE_RANDOM)
    kade = np.where(trusted, machine.argmax(axis=1), truth)
    return {
        "network_agrees": round(float((machine.argmax(axis=1) == truth).mean()), 4),
        "plain": at_targets(
            [(n, float((pool[:, n].argmax(axis=1) == truth).mean())) for n in range(1, LOOKS + 1)]
        ),
        "kade": {
            "looks": round(float(LOOKS * (~trusted).mean()), 2),
            "times_fewer": round(float(1 / (~trusted).mean()), 1),
            "agrees": round(float((kade == truth).mean()), 4),
        },
        "people": at_targets(list(rounds(tree, by_people, prior, pool, sure))),
        "loop": at_targets(list(rounds(tree, by_network, prior, pool, sure))),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("labels")
    parser.add_argument("answers")
    parser.add_argument("--known", type=int, default=100)
    parser.add_argument("--sure", type=float, default=0.95)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    tree = load_tree()
    columns = list(tree.columns)
    labels = pd.read_csv(options.labels, dtype={"object_id": str}).set_index("object_id")[columns]
    labels = labels[labels[list(columns[:3])].notna().all(axis=1)]
    answers = pd.read_parquet(options.answers).set_index("object_id").loc[labels.index, columns]
    fractions, predicted = labels.to_numpy(np.float64), answers.to_numpy(np.float64)
    results = [
        measured(tree, fractions, predicted, options.known, options.sure, seed)
        for seed in range(options.seeds)
    ]
    print(json.dumps({"galaxies": len(labels) - options.known, "seeds": results}, indent=1))


if __name__ == "__main__":
    main()
