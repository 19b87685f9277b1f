"""One pass over a whole catalogue: what is counted over all of it, and which galaxies to show."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from pipeline.catalogue.classes import read_classes
from pipeline.evaluation.distributions import CatalogueCounter, CatalogueCounts
from pipeline.evaluation.examples import best_of_each, choose_galaxies
from pipeline.tree import DecisionTree


def read_catalogue(
    tree: DecisionTree, pieces: Iterable[pa.Table], limit: int = 400
) -> tuple[CatalogueCounts, pa.Table]:
    """Count every row of a catalogue, and choose the galaxies to show.

    Memory holds one piece, and `limit` rows of each class.

    Parameters
    ----------
    tree
        The catalogue's decision tree.
    pieces
        The catalogue's rows in any number of tables, at least one, which may be empty. Columns of
        `pipeline.catalogue.schema.catalogue_schema`.
    limit
        Most galaxies shown.

    Returns
    -------
    counts
        What is counted over all rows.
    shown
        The rows that `choose_galaxies` chooses from all.

    Raises
    ------
    InputError
        If `limit` is less than 1 or a column is missing.
    """
    counter = CatalogueCounter(tree)
    best: list[pa.Table] = []
    for piece in pieces:
        reading = read_classes(tree, piece)
        counter.add(piece, reading)
        both = pa.concat_tables([*best, best_of_each(piece, reading, limit)])
        best = [best_of_each(both, read_classes(tree, both), limit)]
    return counter.counts(), choose_galaxies(tree, best[0], limit)
