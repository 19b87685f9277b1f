"""Galaxies like some examples and unlike others: by an index where that can tell, or by all vectors."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.where import Condition
from pipeline.errors import InputError
from pipeline.representations.alike import look_alikes
from pipeline.representations.examples import Examples
from pipeline.representations.index import Index
from pipeline.representations.reading import Embeddings
from pipeline.representations.search import along, direction

EXAMINED, MOST_EXAMINED = 64, 20_000
"""So many times the galaxies wanted, and at most so many, are asked whether a condition holds for them."""


def find_alike(
    embeddings: Embeddings,
    like: Examples,
    unlike: Examples,
    count: int,
    condition: Condition | None = None,
    index: Index | None = None,
) -> pa.Table:
    """The galaxies that are most like some examples, and unlike others; see `look_alikes`.

    Without counterexamples ``similarity`` is the mean cosine with the examples. With some it is how far a
    galaxy lies in the direction from these to the examples (a linear discriminant, nearest centroids), for
    which all of the catalogue's vectors are read.

    Parameters
    ----------
    index
        To be searched in the catalogue's place; of the same snapshot.

    Raises
    ------
    InputError
        If a galaxy is an example and a counterexample.
    """
    if both := sorted({*like.ids} & {*unlike.ids}):
        raise InputError(f"galaxy {both[0]!r} is an example and a counterexample; name it on one side")
    wanted, without = direction(like.vectors, unlike.vectors), {*like.ids, *unlike.ids}
    if len(unlike):
        return look_alikes(embeddings, wanted, count, condition, without, along)
    if index is None:
        return look_alikes(embeddings, wanted, count, condition, without)
    return indexed_look_alikes(index, embeddings, wanted, count, condition, without)


def indexed_look_alikes(
    index: Index,
    embeddings: Embeddings,
    wanted: NDArray[np.float64],
    count: int,
    condition: Condition | None = None,
    without: Collection[str] = (),
) -> pa.Table:
    """The galaxies whose vectors point most in a direction, nearly all of them: see `look_alikes`.

    An index knows where galaxies are, and no answers: of a condition's columns the catalogue is read for the
    nearest 64 times as many galaxies as are wanted, 20,000 at most. Where the condition holds for too few of
    these, all of the catalogue's vectors are read.

    Parameters
    ----------
    index
        Of the same snapshot; see `pipeline.representations.index.open_index`.
    """
    examined = count if condition is None else max(count, min(EXAMINED * count, MOST_EXAMINED))
    near = index.look_alikes(wanted, examined, without, embeddings.region)
    if condition is None:
        return near
    holding = embeddings.holding(near["object_id"].to_pylist(), condition)
    kept = near.filter(pc.is_in(near["object_id"], pa.array(sorted(holding), pa.string())))
    if len(kept) < count and len(near) == examined:
        return look_alikes(embeddings, wanted, count, condition, without)
    return kept[:count]
