"""Debiasing judged on simulated surveys, whose true shares are known, made of real vote fractions.

    python -m tests.benchmarks.debiasing DATA [--galaxies 100000] [--votes 40]

DATA is a folder with vote fractions of the Galaxy Challenge (``galaxy_zoo_challenge``). Prints JSON: for each
law of blurring (see `tests.support.distant`), method and blurred question, over ten bins of redshift beyond
where galaxies are seen well, the mean difference of shares from the truth (of the answer that has features),
before and after, the largest, in how many bins it is within two standard errors, and the root mean square of
each galaxy's.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.bayesian import cumulative
from pipeline.volunteers.debiasing import fit_distributions, fit_ratios, learn_debiasing
from pipeline.volunteers.debiasing.learning import Fit
from pipeline.volunteers.simulator import conditional_shares
from pipeline.volunteers.weights import fractions
from tests.benchmarks.volunteers import fair_galaxies
from tests.support.distant import PLAIN, SEEN_WELL, Distant, survey

BINS = 10
METHODS: dict[str, Fit] = {
    "ratios": fit_ratios,
    "ratios_in_one_round": partial(fit_ratios, rounds=1),
    "distributions": fit_distributions,
}


def rightly_asked(tree: DecisionTree, shares: np.ndarray) -> np.ndarray:
    """Where at least half of all people would be asked a question, shape (n, questions)."""
    with np.errstate(invalid="ignore"):
        whole = np.nan_to_num(cumulative(tree, shares))
    return np.stack([whole[:, where].sum(axis=1) >= 0.5 for where in tree.slices.values()], axis=1)


def judged(
    tree: DecisionTree, distant: Distant, before: np.ndarray, after: np.ndarray, done: np.ndarray
) -> dict[str, Any]:
    """By question, of corrected galaxies that it's truly to be asked of and that have five votes on it."""
    z, result = distant.galaxies.redshift, {}
    asked = rightly_asked(tree, distant.truth)
    for number, question in enumerate(tree.questions):
        if question.key not in PLAIN:
            continue
        where = tree.slices[question.key]
        column = where.start + (PLAIN[question.key] == 0)
        right = asked[:, number] & (distant.counts[:, where].sum(axis=1) >= 5) & (z > SEEN_WELL)
        enough = right & done[:, number]
        edges = np.quantile(z[enough], np.linspace(0, 1, BINS + 1))
        rows: dict[str, list[float]] = {"before": [], "after": [], "error": []}
        for low, high in pairwise(edges):
            some = enough & (z >= low) & (z < high)
            off = after[some, column] - distant.truth[some, column]
            rows["before"].append(float((before[some, column] - distant.truth[some, column]).mean()))
            rows["after"].append(float(off.mean()))
            rows["error"].append(float(off.std() / np.sqrt(some.sum())))
        old, new, error = (np.array(rows[name]) for name in ("before", "after", "error"))
        result[question.key] = {
            "galaxies": int(enough.sum()),
            "corrected": round(float(done[right, number].mean()), 3),
            "mean_bias": [round(float(np.abs(one).mean()), 4) for one in (old, new)],
            "largest_bias": [round(float(np.abs(one).max()), 4) for one in (old, new)],
            "bins_within_two_errors": [int((np.abs(one) <= 2 * error).sum()) for one in (old, new)],
            "rms": [
                round(float(np.sqrt(((one - distant.truth)[enough, column] ** 2).mean())), 4)
                for one in (before, after)
            ],
        }
    return result


def main() -> None:
    """Simulate, correct, compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--galaxies", type=int, default=100_000)
    parser.add_argument("--votes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tree = load_tree()
    pool = conditional_shares(tree, fair_galaxies(given.data, tree)[1])
    result: dict[str, Any] = {"galaxies": given.galaxies, "votes": given.votes}
    for law in ("blend", "odds"):
        rng = np.random.default_rng(given.seed)
        distant = survey(tree, pool, given.galaxies, given.votes, law, rng)
        shares = fractions(tree, distant.counts)
        votes = np.stack([distant.counts[:, w].sum(axis=1) for w in tree.slices.values()], axis=1)
        result[law] = {}
        for name, fit in METHODS.items():
            clock = time.perf_counter()
            learnt = learn_debiasing(tree, shares, distant.galaxies, fit, votes)
            seconds = time.perf_counter() - clock
            after, done = learnt.apply(shares, distant.galaxies)
            result[law][name] = judged(tree, distant, shares, after, done) | {"seconds": round(seconds, 1)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
