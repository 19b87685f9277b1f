"""The sink: a unit's answers → its part, its quarantined rows and its ledger entry."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue import catalogue_rows
from pipeline.catalogue.clumps import CLUMPS
from pipeline.catalogue.embedding import EMBEDDING
from pipeline.confidence import Concentrations
from pipeline.cutouts.place import Place
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import QUARANTINE_SCHEMA, record_unit
from pipeline.streaming.uncertainty import uncertainty_of
from pipeline.tree import DecisionTree, load_tree


class SinkActor:
    """Ray Data stage: make units durable, one after another (see `write_unit`).

    An actor, since Ray ends the processes of tasks when they have idled for a second: where units are further
    apart than that, each would wait for a process to start.
    """

    def __init__(
        self,
        layout: RunLayout,
        tree: str,
        weights_sha256: str,
        concentrations: Concentrations | None = None,
        rejection: bool = False,
    ) -> None:
        self._layout, self._tree, self._weights_sha256 = layout, load_tree(tree), weights_sha256
        self._concentrations, self._rejection = concentrations, rejection

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Write one unit."""
        return write_unit(
            batch, self._layout, self._tree, self._weights_sha256, self._concentrations, self._rejection
        )


def write_unit(
    batch: pa.Table,
    layout: RunLayout,
    tree: DecisionTree,
    weights_sha256: str,
    concentrations: Concentrations | None = None,
    rejection: bool = False,
) -> pa.Table:
    """Make one unit durable.

    Parameters
    ----------
    batch
        All rows of one unit, from the model stage.
    concentrations
        By which rows say how sure their answers are, if they are to.
    rejection
        Whether rows say if the picture has a galaxy.

    Returns
    -------
    pyarrow.Table
        One row, ``entry``: the unit's `LedgerEntry` as JSON.
    """
    probabilities = _matrix(batch["probabilities"], tree.answer_count)
    sound = np.isfinite(probabilities).all(axis=1)
    good = batch["reason"].is_null().to_numpy() & sound
    rejects = batch.filter(pa.array(~good))
    odd = rejects["reason"].is_null()
    quarantined = pa.Table.from_arrays(
        [
            rejects["object_id"],
            rejects["shard"],
            rejects["row"],
            pc.if_else(odd, "not_finite", rejects["reason"]),
            pc.if_else(odd, "the network gave no finite answer", rejects["message"]),
        ],
        schema=QUARANTINE_SCHEMA,
    )
    classified = batch.filter(pa.array(good))
    inputs = [
        str(Place(shard, row))
        for shard, row in zip(classified["shard"].to_pylist(), classified["row"].to_pylist(), strict=True)
    ]
    answers = probabilities[good]
    uncertainty = (
        None if concentrations is None else uncertainty_of(tree, classified, answers, concentrations)
    )
    embedding, clumps = (
        classified[name] if name in classified.column_names else None for name in (EMBEDDING, CLUMPS)
    )
    rows = catalogue_rows(
        tree,
        classified,
        answers,
        layout.run,
        weights_sha256,
        inputs,
        uncertainty,
        embedding,
        classified["verdict"] if rejection else None,
        clumps,
    )
    first = batch.slice(0, 1).to_pylist()[0]
    unit = WorkUnit(first["unit"], first["shard"], 0, len(batch))
    seconds = {"decode": first["decode_seconds"], "model": first["model_seconds"]}
    mended = np.asarray(classified["replaced"].fill_null(0).to_numpy())
    replaced = {"galaxies": int(np.count_nonzero(mended)), "pixels": int(mended.sum())}
    entry = record_unit(
        layout,
        unit,
        rows,
        quarantined,
        seconds,
        replaced if replaced["pixels"] else None,
        first["left_to_cpu"],
    )
    return pa.table({"entry": [entry.model_dump_json()]})


def _matrix(lists: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    flat = pa.chunked_array([chunk.flatten() for chunk in lists.chunks], pa.float32())
    return np.asarray(flat.to_numpy(), np.float32).reshape(-1, width)
