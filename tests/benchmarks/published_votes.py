"""A published table of votes computed again: Galaxy Zoo 2's of Stripe 82, with fractions and flags.

    python -m tests.benchmarks.published_votes DATA

DATA is a folder with ``galaxy_zoo_2/table5_stripe82_coadd.csv.gz``. Prints JSON.

The table's columns ``_weight`` repeat its counts, and both ``_fraction`` and ``_weighted_fraction`` hold the
*weighted* fractions: those of votes whose weights it doesn't tell. So the fractions are compared with

1. fractions of the counts, where all users of a galaxy weigh 1;
2. fractions of votes of which one user's weigh less: one number and one way down the tree, that must explain
   all 37 fractions of a galaxy.

Flags are by the rule that this table follows, not by the thresholds of Willett et al. 2013, table 3: from 10
votes on what everyone is asked and 5 on other questions, at least half of the votes at each question before,
and a debiased fraction of 0.8, of 0.5 whether edge-on and whether barred. Votes are weighted there too; the
weights taken are the largest that the fractions allow.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.tree import DecisionTree, load_tree
from pipeline.volunteers.clean import clean
from pipeline.volunteers.weights import fractions

KINDS = ("count", "weight", "fraction", "weighted_fraction", "debiased", "flag")
ROUNDING = 0.000501
"""The published fractions have three digits."""

TOLERANCE = 2 * ROUNDING
"""What is predicted by means of a weight that was itself read off from rounded fractions."""

_NEAR = np.linspace(-0.03, 0.03, 61)


def read_published(data: Path) -> dict[str, np.ndarray]:
    """The table's columns of each kind, shape (galaxies, answers)."""
    table = pd.read_csv(data / "galaxy_zoo_2" / "table5_stripe82_coadd.csv.gz")
    stems = [name.removesuffix("_count") for name in table.columns if name.endswith("_count")]
    return {kind: table[[f"{stem}_{kind}" for stem in stems]].to_numpy(np.float64) for kind in KINDS}


def fraction_figures(tree: DecisionTree, table: dict[str, np.ndarray]) -> dict[str, Any]:
    """How far counts, and one user's weight, explain the published fractions."""
    counts, published = table["count"], table["weighted_fraction"]
    off = np.abs(fractions(tree, counts) - published)
    plain = (off <= ROUNDING).all(axis=1)
    rest = np.flatnonzero(~plain)
    errors = np.concatenate([_one_user(tree, counts[rows], published[rows]) for rows in _pieces(rest)])
    explained = plain.copy()
    explained[rest] = errors <= TOLERANCE
    mean = -np.log(plain.mean())  # of users who weigh less than 1, if they come by chance
    return {
        "galaxies": len(counts),
        "cells_where_weight_is_count": float((table["weight"] == counts).mean()),
        "cells_where_fractions_are_the_same": float((table["fraction"] == published).mean()),
        "cells_with_a_fraction_and_no_vote": int(((published > 0) & (counts == 0)).sum()),
        "cells_of_counts_fractions": round(float((off <= ROUNDING).mean()), 4),
        "galaxies_of_counts_fractions": round(float(plain.mean()), 4),
        "galaxies_that_one_user_of_less_weight_explains": round(float((errors <= TOLERANCE).mean()), 4),
        "galaxies_explained": round(float(explained.mean()), 4),
        "galaxies_with_at_most_one_such_user_by_chance": round(float(plain.mean() * (1 + mean)), 4),
        "largest_difference_of_explained": round(float(errors[errors <= TOLERANCE].max()), 5),
    }


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    yield from np.array_split(rows, max(len(rows) // 200, 1))


def _one_user(tree: DecisionTree, counts: np.ndarray, published: np.ndarray) -> np.ndarray:
    """Of each galaxy the largest error of a fraction, if one user weighs less by the best number there is."""
    votes = np.hstack([_spread(counts[:, where]) for where in tree.slices.values()])
    lost = np.divide(
        counts - published * votes, 1 - published, out=np.zeros_like(counts), where=published < 0.999
    ).clip(0, 1)
    best = np.take_along_axis(lost, _errors(tree, counts, published, lost).argmin(axis=1)[:, None], axis=1)
    return np.asarray(_errors(tree, counts, published, (best + _NEAR).clip(0, 1)).min(axis=1))


def _errors(tree: DecisionTree, counts: np.ndarray, published: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Largest error over the questions, where one vote at most on each weighs less by `lost`."""
    result = np.zeros(lost.shape)
    for where in tree.slices.values():
        some, target = counts[:, where], published[:, where]
        votes = some.sum(axis=1, keepdims=True)
        as_they_are = np.divide(some, votes, out=np.zeros_like(some), where=votes > 0)
        least = np.broadcast_to(np.abs(as_they_are - target).max(axis=1, keepdims=True), lost.shape)
        total = votes - lost
        for answer in range(some.shape[1]):
            weights = np.repeat(some[:, None], lost.shape[1], axis=1)
            weights[..., answer] -= lost
            shares = np.divide(
                weights, total[..., None], out=np.zeros_like(weights), where=total[..., None] > 1e-9
            )
            error = np.abs(shares - target[:, None]).max(axis=2)
            least = np.where(some[:, answer, None] > 0, np.minimum(least, error), least)
        result = np.maximum(result, least)
    return result


def _spread(votes: np.ndarray) -> np.ndarray:
    """The votes on a question, at each of its answers."""
    return np.tile(votes.sum(axis=1, keepdims=True), (1, votes.shape[1]))


def heaviest_weights(tree: DecisionTree, counts: np.ndarray, published: np.ndarray) -> np.ndarray:
    """The largest sums of weights that give a question's fractions and are nowhere above the counts."""
    result = np.zeros(counts.shape)
    for where in tree.slices.values():
        some, shares = counts[:, where], published[:, where]
        sure = shares > 2 * ROUNDING
        most = np.divide(some, shares - ROUNDING, out=np.full(some.shape, np.inf), where=sure)
        total = np.minimum(most.min(axis=1, keepdims=True), some.sum(axis=1, keepdims=True))
        result[:, where] = shares * total / shares.sum(axis=1, keepdims=True).clip(min=ROUNDING)
    return result


def flag_figures(tree: DecisionTree, table: dict[str, np.ndarray]) -> dict[str, Any]:
    """How many flags are the table's."""
    first, edge_on, bar = (question.key for question in tree.questions[:3])
    share = {key: 0.5 if key in (edge_on, bar) else 0.8 for key in tree.slices}
    everyone = {first} | {question.key for question in tree.questions if question.always_asked}
    enough = {key: 10 if key in everyone else 5 for key in tree.slices}
    published, flags = table["weighted_fraction"], table["flag"] > 0
    result: dict[str, Any] = {"cells": flags.size, "flags": int(flags.sum())}
    for name, votes in {
        "by_counts": table["count"],
        "by_heaviest_weights": heaviest_weights(tree, table["count"], published),
    }.items():
        ours = clean(tree, votes, published, table["debiased"], share, 0.5, enough)
        same = ours == flags
        result[name] = {
            "cells_that_are_the_same": round(float(same.mean()), 6),
            "galaxies_with_all_the_same": round(float(same.all(axis=1).mean()), 5),
            "flags_only_ours": int((ours & ~flags).sum()),
            "flags_only_the_tables": int((flags & ~ours).sum()),
            "of_flagged_answers_the_same": round(float((ours & flags).sum() / (ours | flags).sum()), 6),
        }
    return result


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    tree = load_tree()
    table = read_published(parser.parse_args().data)
    print(
        json.dumps({"fractions": fraction_figures(tree, table), "flags": flag_figures(tree, table)}, indent=1)
    )


if __name__ == "__main__":
    main()
