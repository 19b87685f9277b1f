"""People and machine: how many looks it takes to agree with forty people.

    python -m tests.benchmarks.loop LABELS.csv ANSWERS.parquet [--known 100] [--seeds 10]

LABELS has the vote fractions of galaxies that the network wasn't trained on, ANSWERS the network's
cumulative answers for them, by ``object_id``. A galaxy's forty votes on the first question are its fractions;
looks draw from them, and what they agree with is the answer that most of the forty gave. The first `known`
galaxies, with all of their votes, are what is known of the network at first; they aren't judged. What the
network's answers are worth is learnt again from all votes so far, when they have grown by a tenth.

Prints JSON: looks a galaxy at which so much agrees, and how many times fewer than forty that is, of

``plain``
    everyone looks at the same number of times, no network;
``kade``
    who the network is 80 % sure of is looked at by nobody, but for a random fifth; all others forty times;
``people``, ``loop``
    people look where a look is worth its price (`pipeline.volunteers.settlement`), without a network and
    with it; the number of looks at which so much agrees lies between those of two prices.

Each is the mean over the seeds, which shuffle the votes, with a 95 % interval by resampling the galaxies.
``at_the_price`` is what came of the product's own price, and what was expected.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.prior import NetworkAnswers, fit_prior
from pipeline.volunteers.settlement import Terms, outlook

LOOKS = 40
TARGETS = (0.90, 0.93, 0.95)
PRICES = (0.014, 0.01, 0.0075, 0.006, 0.0045)
KADE_SURE, KADE_RANDOM = 0.8, 0.2
GROWTH = 1.1


class Course(NamedTuple):
    """What came of dearer to cheaper looks, of each galaxy, shape (steps, n)."""

    looks: NDArray[np.float64]
    agrees: NDArray[np.float64]
    expected: NDArray[np.float64]


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
    tree: DecisionTree, answers: NDArray[np.float64] | None, pool: NDArray[np.int64], known: int, price: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Looks at each galaxy but the known ones, whether the forty agree, and how probable that was thought.

    Each round all look once more at whatever is worth it, until nothing is.
    """
    where, galaxies = next(iter(tree.slices.values())), np.arange(len(pool))
    truth, looked = pool[:, -1].argmax(axis=1), np.zeros(len(pool), int)
    counts = np.zeros((len(pool), tree.answer_count))
    network = None
    if answers is not None:
        network = NetworkAnswers(galaxies, answers, np.ones((len(pool), len(tree.questions))))
    looked[:known] = LOOKS
    learnt_from = 0
    while True:
        counts[:, where] = pool[galaxies, looked]
        if looked.sum() >= GROWTH * learnt_from:
            alpha = fit_prior(tree, counts, network).of_galaxies(len(pool), network)[known:, where]
            learnt_from = looked.sum()
        found = outlook(alpha, counts[known:, where], looked[known:], np.ones(len(alpha)), Terms(price=price))
        if not found.gain.any():
            return looked[known:], found.answer == truth[known:], found.probability
        looked[known:] += found.gain > 0


def course_of(
    tree: DecisionTree, answers: NDArray[np.float64] | None, pool: NDArray[np.int64], known: int
) -> Course:
    """Round by round at each price."""
    found = [rounds(tree, answers, pool, known, price) for price in PRICES]
    return Course(*(np.stack([one[place] for one in found]).astype(float) for place in range(3)))


def plain(pool: NDArray[np.int64]) -> Course:
    """One look more at every galaxy, step by step."""
    agrees = (pool[:, 1:].argmax(axis=2) == pool[:, -1:].argmax(axis=2)).T.astype(float)
    looks = np.tile(np.arange(1.0, LOOKS + 1)[:, None], len(pool))
    return Course(looks, agrees, agrees)


def times_fewer(looks: NDArray[np.float64], agrees: NDArray[np.float64], target: float) -> float:
    """How many times fewer than forty looks, by mean looks and agreement at each step; NaN if never."""
    if agrees.max() < target:
        return float("nan")
    last = int(np.argmax(agrees >= target))
    if last == 0:
        return float(LOOKS / looks[0])
    part = (target - agrees[last - 1]) / (agrees[last] - agrees[last - 1])
    return float(LOOKS / (looks[last - 1] + part * (looks[last] - looks[last - 1])))


def summary(courses: list[Course], rng: np.random.Generator) -> dict[str, Any]:
    """Over all seeds: how many times fewer at each target, with intervals."""
    looks, agrees = (np.stack([one[place] for one in courses]).mean(axis=0) for place in range(2))
    draws = [rng.integers(looks.shape[1], size=looks.shape[1]) for _ in range(1_000)]
    result: dict[str, Any] = {}
    for target in TARGETS:
        by_seed = [times_fewer(one.looks.mean(axis=1), one.agrees.mean(axis=1), target) for one in courses]
        drawn = [times_fewer(looks[:, d].mean(axis=1), agrees[:, d].mean(axis=1), target) for d in draws]
        result[f"{target:.0%}"] = {
            "times_fewer": round(times_fewer(looks.mean(axis=1), agrees.mean(axis=1), target), 2),
            "interval": np.nanquantile(drawn, [0.025, 0.975]).round(1).tolist(),
            "by_seed": np.round([min(by_seed), max(by_seed)], 1).tolist(),
        }
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("labels")
    parser.add_argument("answers")
    parser.add_argument("--known", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    tree, known = load_tree(), options.known
    columns, where = list(tree.columns), next(iter(tree.slices.values()))
    labels = pd.read_csv(options.labels, dtype={"object_id": str}).set_index("object_id")[columns]
    labels = labels[labels[columns[where]].notna().all(axis=1)]
    answers = pd.read_parquet(options.answers).set_index("object_id").loc[labels.index, columns]
    predicted = answers.to_numpy(np.float64)
    courses: dict[str, list[Course]] = {"plain": [], "people": [], "loop": []}
    kade = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        pool = pools(labels.to_numpy(np.float64)[:, where], rng)
        truth, machine = pool[known:, -1].argmax(axis=1), predicted[known:, where]
        trusted = (machine.max(axis=1) >= KADE_SURE) & (rng.random(len(machine)) >= KADE_RANDOM)
        right = np.where(trusted, machine.argmax(axis=1), truth) == truth
        kade.append([LOOKS * (~trusted).mean(), right.mean()])
        courses["plain"].append(plain(pool[known:]))
        courses["people"].append(course_of(tree, None, pool, known))
        courses["loop"].append(course_of(tree, predicted, pool, known))
    looks, agrees = np.mean(kade, axis=0)
    place = PRICES.index(Terms().price)
    print(
        json.dumps(
            {
                "galaxies": len(labels) - known,
                "network_agrees": round(float((machine.argmax(axis=1) == truth).mean()), 4),
                "kade": {"times_fewer": round(LOOKS / looks, 2), "agrees": round(agrees, 4)},
                **{name: summary(some, np.random.default_rng(0)) for name, some in courses.items()},
                "at_the_price": {
                    name: round(float(np.mean([one[at][place] for one in courses["loop"]])), 4)
                    for at, name in enumerate(Course._fields)
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
