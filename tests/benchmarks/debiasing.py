"""Debiasing judged on simulated surveys, whose true shares are known, made of real vote fractions.

    python -m tests.benchmarks.debiasing DATA [--galaxies 20000] [--votes 40] [--surveys 4]

DATA is a folder with vote fractions of the Galaxy Challenge (``galaxy_zoo_challenge``). Prints JSON: for each
law of blurring (see `tests.support.distant`), method and blurred question, over ten bins of redshift beyond
where galaxies are seen well, the mean difference of shares from the truth (of the answer that has features),
before and after, the largest, and the root mean square of each galaxy's. The *error* of a bin's difference is
its standard deviation over several surveys. It is larger than the scatter of a bin's galaxies tells: all bins
share what their survey's near galaxies happened to be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.bayesian import cumulative
from pipeline.volunteers.debiasing import fit_distributions, fit_ratios, learn_debiasing
from pipeline.volunteers.debiasing.learning import Fit
from pipeline.volunteers.simulator import conditional_shares
from pipeline.volunteers.weights import fractions
from tests.benchmarks.volunteers import fair_galaxies
from tests.support.distant import PLAIN, SEEN_WELL, Distant, Law, survey

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


class Biases(NamedTuple):
    """Mean differences of shares from the truth, by bin of redshift; root mean square of each galaxy's."""

    before: np.ndarray
    after: np.ndarray
    rms: tuple[float, float]
    galaxies: int
    corrected: float


def judged(
    tree: DecisionTree, distant: Distant, before: np.ndarray, after: np.ndarray, done: np.ndarray
) -> dict[str, Biases]:
    """By question, of corrected galaxies that it's truly to be asked of and that have five votes on it."""
    z, result = distant.galaxies.redshift, {}
    asked = rightly_asked(tree, distant.truth)
    for number, question in enumerate(tree.questions):
        if question.key not in PLAIN:
            continue
        where = tree.slices[question.key]
        column = where.start + (PLAIN[question.key] == 0)
        right = asked[:, number] & (distant.counts[:, where].sum(axis=1) >= 5) & (z > SEEN_WELL)
        enough = np.flatnonzero(right & done[:, number])
        bins = np.array_split(enough[np.argsort(z[enough], kind="stable")], BINS)
        off = [(one - distant.truth)[:, column] for one in (before, after)]
        rms = tuple(float(np.sqrt((one[enough] ** 2).mean())) for one in off)
        old, new = (np.array([one[some].mean() for some in bins]) for one in off)
        share = float(done[right, number].mean())
        result[question.key] = Biases(old, new, (rms[0], rms[1]), len(enough), share)
    return result


def summary(surveys: list[Biases]) -> dict[str, Any]:
    """Of several surveys; the error of a bin is by how much they differ."""
    before, after = (np.stack([one[place] for one in surveys]) for place in range(2))
    error = after.std(axis=0, ddof=1)
    return {
        "galaxies": int(np.mean([one.galaxies for one in surveys])),
        "corrected_ratio": round(float(np.mean([one.corrected for one in surveys])), 3),
        "mean_bias": [round(float(np.abs(one).mean()), 4) for one in (before, after)],
        "largest_bias": [round(float(np.abs(one.mean(axis=0)).max()), 4) for one in (before, after)],
        "error": round(float(error.mean()), 4),
        "within_two_errors_ratio": round(float((np.abs(after) <= 2 * error).mean()), 2),
        "mean_bias_of_bins": after.mean(axis=0).round(3).tolist(),
        "rms": np.mean([one.rms for one in surveys], axis=0).round(4).tolist(),
    }


def main() -> None:
    """Simulate, correct, compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--galaxies", type=int, default=20_000)
    parser.add_argument("--votes", type=int, default=40)
    parser.add_argument("--surveys", type=int, default=4)
    given = parser.parse_args()
    tree = load_tree()
    pool = conditional_shares(tree, fair_galaxies(given.data, tree)[1])
    result: dict[str, Any] = {"galaxies": given.galaxies, "votes": given.votes, "surveys": given.surveys}
    laws: tuple[Law, ...] = ("blend", "odds")
    for law in laws:
        found: dict[str, dict[str, list[Biases]]] = {name: defaultdict(list) for name in METHODS}
        for seed in range(given.surveys):
            distant = survey(tree, pool, given.galaxies, given.votes, law, np.random.default_rng(seed))
            shares = fractions(tree, distant.counts)
            votes = np.stack([distant.counts[:, w].sum(axis=1) for w in tree.slices.values()], axis=1)
            votes[:, [key not in PLAIN for key in tree.slices]] = 0  # nothing is to be learnt of them
            for name, fit in METHODS.items():
                learnt = learn_debiasing(tree, shares, distant.galaxies, fit, votes)
                after, done = learnt.apply(shares, distant.galaxies)
                for key, biases in judged(tree, distant, shares, after, done).items():
                    found[name][key].append(biases)
            print(f"{law}: survey {seed + 1} of {given.surveys}", file=sys.stderr)
        result[law] = {
            name: {key: summary(some) for key, some in questions.items()} for name, questions in found.items()
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
