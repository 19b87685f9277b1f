"""What changed between two catalogues of the same sky, gathered in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.changes import FATES, Pairs
from pipeline.catalogue.classes import read_classes
from pipeline.catalogue.rows import answer_matrix
from pipeline.errors import InputError
from pipeline.evaluation.drift import Drift, probability_moved
from pipeline.tree import DecisionTree

MOVED_COLUMNS = ("object_id", "input", "moved", "class_before", "class_after", "sure_before", "sure_after")
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Changes:
    """What became of the galaxies of a catalogue.

    Attributes
    ----------
    fates
        Galaxies by what became of them (`FATES`).
    drift
        How the answers moved, of galaxies that both hold and neither marks stale.
    moved
        Those that changed class and moved most, with `MOVED_COLUMNS`, the most moved first. ``input`` is
        where the catalogue after read the cutout.
    """

    fates: Mapping[str, int]
    drift: Drift
    moved: pa.Table


def gather_changes(tree: DecisionTree, pieces: Iterable[Pairs], limit: int) -> Changes:
    """Go over two catalogues side by side once; at most `limit` of the galaxies that changed are kept.

    Raises
    ------
    InputError
        If an answer is no probability.
    """
    fates, drift, moved = Counter(dict.fromkeys(FATES, 0)), Drift(tree), _moved_rows(0)
    for pairs in pieces:
        fates.update(pairs.fates())
        current = pc.and_(pairs.before["stale"].is_null(), pairs.after["stale"].is_null())
        before, after = pairs.before.filter(current), pairs.after.filter(current)
        p, q = _matrix(tree, before), _matrix(tree, after)
        was, now = read_classes(tree, before), read_classes(tree, after)
        drift.add(p, q, was.classes, now.classes)
        rows = np.flatnonzero(was.classes != now.classes)
        if len(rows):
            changed = after.select(["object_id", "input"]).take(pa.array(rows))
            columns = (
                probability_moved(tree, p[rows], q[rows]),
                *(side.classes[rows] for side in (was, now)),
                *(side.confidence[rows] for side in (was, now)),
            )
            arrays = [*changed.columns, *(pa.chunked_array([column]) for column in columns)]
            moved = pa.concat_tables([moved, pa.table(arrays, names=list(MOVED_COLUMNS))])
            moved = moved.sort_by([("moved", "descending"), ("object_id", "ascending")])[:limit]
    return Changes(dict(fates), drift, moved.combine_chunks())


def _matrix(tree: DecisionTree, rows: pa.Table) -> NDArray[np.float64]:
    p = answer_matrix(tree, rows).astype(np.float64)
    bad = np.argwhere(~((p >= -_ROUNDING) & (p <= 1 + _ROUNDING)))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"a catalogue has {p[row, column]:g} as {tree.columns[column]} of galaxy "
            f"{rows['object_id'][int(row)]}; expected a probability; classify it anew"
        )
    return p


def _moved_rows(count: int) -> pa.Table:
    kinds = (pa.string(), pa.string(), pa.float64(), pa.int64(), pa.int64(), pa.float64(), pa.float64())
    return pa.table([pa.nulls(count, kind) for kind in kinds], names=list(MOVED_COLUMNS))
