"""Label tables for the weights that come with the project: ``python -m jobs.recipes.labels DATA OUT``.

DATA holds the folders ``galaxy_zoo_challenge`` and ``sdss_gz1``. Written into OUT:

``pretraining.csv``
    All galaxies with a label of any kind: votes, Galaxy Zoo 1's class, or which answer was largest.
``votes.csv``
    Those with votes of Galaxy Zoo 2 alone.
``unseen.csv``
    The last rows of both, which no network learns from.
``unlabelled.csv``
    Galaxies without such votes, for teachers to answer.

Stripe 82's, EFIGI's and the rings' labels are in none of them: they judge the weights.
"""

from __future__ import annotations

import sys

import pandas as pd

from jobs.recipes.tables import (
    KINDS,
    LARGEST,
    VOTES,
    galaxy_zoo_1,
    largest_answers,
    voted_galaxies,
    write_labels,
)
from pipeline import storage
from pipeline.console import say
from pipeline.tree import joined, load_tree

TREES = (VOTES, KINDS, LARGEST)
"""Whose questions are learnt together from ``pretraining.csv``."""

WEAK = 0.15
"""What a galaxy counts of which only a class is known, beside 1 for one with votes."""


def main() -> None:
    """Write the label tables."""
    data, out = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2])
    tree = load_tree()
    galaxies, kinds = voted_galaxies(data, tree), galaxy_zoo_1(data)
    largest = largest_answers(data)
    largest = largest[
        ~largest["object_id"].isin(pd.concat([galaxies.trained, *galaxies.unseen])["object_id"])
    ]
    weak = [largest.assign(volunteers=WEAK), kinds.assign(volunteers=WEAK)]
    every = joined(*(load_tree(path) for path in TREES))
    write_labels(f"{out}/pretraining.csv", [galaxies.trained, *weak, *galaxies.unseen], every)
    write_labels(f"{out}/votes.csv", [galaxies.trained, *galaxies.unseen], tree)
    write_labels(f"{out}/unseen.csv", galaxies.unseen, tree)
    write_labels(f"{out}/unlabelled.csv", weak, tree)
    say(
        f"{len(galaxies.trained):,} galaxies with votes and {len(kinds) + len(largest):,} with a class "
        f"to learn from, {sum(map(len, galaxies.unseen))} to judge by: {out}"
    )


if __name__ == "__main__":
    main()
