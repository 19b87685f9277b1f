"""Look-alikes: a catalogue's galaxies that are nearest to some examples, and what two have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.rows import answer_matrix
from pipeline.catalogue.where import Condition
from pipeline.representations.reading import Embeddings
from pipeline.representations.search import Vectors, cosines
from pipeline.tree import DecisionTree

SIMILARITY = "similarity"
"""Column of the cosine: 1 for the same, 0 for galaxies that have nothing to do with each other."""

Score = Callable[[Vectors, NDArray[np.float64]], NDArray[np.float64]]
"""Gives each of n vectors (n, 64) a value by a direction (64,)."""

PLACES = pa.schema(
    [
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        (SIMILARITY, pa.float64()),
    ]
)
ORDER = [(SIMILARITY, "descending"), ("object_id", "ascending")]
_USUAL_GALAXIES = 100_000
_MORE = 0.2
"""What is more than usual."""


def look_alikes(
    embeddings: Embeddings,
    wanted: NDArray[np.float64],
    count: int,
    condition: Condition | None = None,
    without: Collection[str] = (),
    score: Score = cosines,
) -> pa.Table:
    """The galaxies whose vectors point most in a direction, the nearest first.

    The catalogue is read once, with no more than a batch of it in memory.

    Parameters
    ----------
    wanted : ndarray, shape (64,)
        See `pipeline.representations.direction`.
    condition
        Which galaxies count; all in the region of the embeddings if not given.
    without
        Ids of galaxies that don't count, such as the examples.
    score
        What ``similarity`` is, `cosines` or `along`.

    Returns
    -------
    pyarrow.Table
        ``object_id, ra, dec, similarity``; fewer rows than `count` where fewer galaxies count.
    """
    best = PLACES.empty_table()
    for batch in embeddings.batches(() if condition is None else condition.columns):
        scores = score(batch.vectors, wanted)
        least = best[SIMILARITY][-1].as_py() if len(best) == count else -np.inf
        rows = np.flatnonzero((scores >= least) & _counts(batch.rows, condition, without))
        if len(rows):
            near = pa.Table.from_batches([batch.rows.select(PLACES.names[:-1]).take(pa.array(rows))])
            near = near.append_column(SIMILARITY, pa.array(scores[rows])).cast(PLACES)
            best = pa.concat_tables([best, near]).sort_by(ORDER)[:count]
    return best


def usual_answers(embeddings: Embeddings, tree: DecisionTree) -> NDArray[np.float64]:
    """The mean share of each answer, shape (answers,), over the first 100,000 galaxies."""
    total, galaxies = np.zeros(tree.answer_count), 0
    for batch in embeddings.batches(tree.columns):
        answers = answer_matrix(tree, pa.Table.from_batches([batch.rows]))
        total += np.nansum(answers, axis=0, dtype=np.float64)
        galaxies += len(batch)
        if galaxies >= _USUAL_GALAXIES:
            break
    return total / max(galaxies, 1)


def shared_answers(
    first: NDArray[np.floating], second: NDArray[np.floating], usual: NDArray[np.float64], limit: int = 3
) -> list[int]:
    """The answers that two galaxies have in common and most others haven't, the most telling first.

    Parameters
    ----------
    first, second, usual : array_like, shape (answers,)
        Shares of the two, and the usual ones.

    Returns
    -------
    list of int
        Places of the answers of which both have a share that is larger by 0.2 than the usual one.
    """
    above = np.nan_to_num(np.minimum(first, second)) - usual
    order = np.argsort(-above, kind="stable")[:limit]
    return [int(place) for place in order if above[place] >= _MORE]


def _counts(rows: pa.RecordBatch, condition: Condition | None, without: Collection[str]) -> NDArray[np.bool_]:
    counts = pc.invert(pc.is_in(rows["object_id"], pa.array(sorted(without), pa.string())))
    if condition is not None:
        counts = pc.and_(counts, condition.holds(rows))
    return np.asarray(counts.to_numpy(zero_copy_only=False), bool)
