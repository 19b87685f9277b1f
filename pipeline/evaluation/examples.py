"""Which galaxies a report shows when it can't show all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.catalogue.classes import Reading, read_classes, without_views
from pipeline.errors import InputError
from pipeline.tree import DecisionTree


def choose_galaxies(tree: DecisionTree, catalogue: pa.Table, limit: int = 400) -> pa.Table:
    """Rows of the catalogue to show: all if they are few, else a fair share of each class.

    Parameters
    ----------
    tree
        The catalogue's decision tree.
    catalogue
        Columns of `pipeline.catalogue.schema.catalogue_schema`.
    limit
        The most rows to return.

    Returns
    -------
    pa.Table
        Rows of `catalogue`, class by class in the tree's order, most confident first. Where a class has
        fewer galaxies than its share, the others get what it leaves.

    Raises
    ------
    InputError
        If `limit` is less than 1 or a column is missing.
    """
    if limit < 1:
        raise InputError(f"a report of at most {limit} galaxies can't be made; expected at least 1")
    reading = read_classes(tree, catalogue)
    order = np.lexsort((-reading.confidence, reading.classes))
    if len(order) > limit:
        classes = reading.classes[order]
        shares = fair_shares(np.bincount(classes, minlength=len(tree.classes) + 1).tolist(), limit)
        starts = np.searchsorted(classes, np.arange(len(shares)))
        order = np.concatenate(
            [order[start : start + share] for start, share in zip(starts, shares, strict=True)]
        )
    return without_views(catalogue).take(pa.array(order, pa.int64()))


def best_of_each(rows: pa.Table, reading: Reading, limit: int) -> pa.Table:
    """The `limit` most confident rows of each class: all that `choose_galaxies` can choose from."""
    order = np.lexsort((-reading.confidence, reading.classes))
    classes = reading.classes[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    return without_views(rows).take(pa.array(order[rank < limit], pa.int64()))


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Share `total` places among groups of these sizes, as evenly as the small ones allow.

    Returns
    -------
    list of int
        One for each group, none more than its size; in all ``min(total, sum(sizes))``.
    """
    shares = [0] * len(sizes)
    left, groups_left = total, len(sizes)
    for group in sorted(range(len(sizes)), key=lambda i: (sizes[i], -i)):
        shares[group] = min(sizes[group], left // groups_left)
        left -= shares[group]
        groups_left -= 1
    return shares
