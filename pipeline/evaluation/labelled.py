"""A catalogue beside the votes of volunteers: the rows of the galaxies that were voted on, and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.export import open_snapshot
from pipeline.catalogue.rows import Uncertainty, read_uncertainty
from pipeline.catalogue.schema import uncertainty_columns
from pipeline.catalogue.snapshot import silent
from pipeline.errors import InputError
from pipeline.evaluation import Score, VoteTable, read_votes, rmse_scores
from pipeline.tree import DecisionTree


@dataclass(frozen=True)
class Labelled:
    """Galaxies of which both answers and votes are known, in the order of the label table.

    Attributes
    ----------
    ids
        The galaxies' object_ids.
    predicted : ndarray, shape (n, answers), float64
        The catalogue's cumulative probabilities in the order of the tree.
    votes : ndarray, shape (n, answers), float64
        Cumulative vote fractions; NaN where a vote is missing.
    inputs
        Where each one's cutout was read, ``<shard>#<row>``; None where the catalogue doesn't tell.
    unlabelled
        Rows of the catalogue without votes, which are left out.
    unmatched
        Rows of the label table that the catalogue doesn't hold.
    uncertainty
        How sure the answers are; None where the catalogue doesn't say.
    weights
        Digest of what gave each one's answers; None where the catalogue doesn't tell.
    """

    tree: DecisionTree
    ids: tuple[str, ...]
    predicted: NDArray[np.float64]
    votes: NDArray[np.float64]
    inputs: tuple[str | None, ...]
    unlabelled: int
    unmatched: int
    uncertainty: Uncertainty | None = None
    weights: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Labelled:
        """The galaxies of some rows, given as a mask or by their indices."""
        chosen = np.arange(len(self))[rows]
        return Labelled(
            self.tree,
            tuple(self.ids[i] for i in chosen),
            self.predicted[chosen],
            self.votes[chosen],
            tuple(self.inputs[i] for i in chosen),
            self.unlabelled,
            self.unmatched,
            None if self.uncertainty is None else self.uncertainty[chosen],
            tuple(self.weights[i] for i in chosen),
        )


def read_labelled(
    catalogue: str,
    labels: str | VoteTable,
    tree: DecisionTree,
    progress: Callable[[int], None] = silent,
    as_of: str | None = None,
) -> Labelled:
    """Read the rows of a catalogue whose galaxies a label table holds; ids are compared exactly.

    The catalogue goes by a batch at a time, so that memory grows with the labels only. Rows that are marked
    stale count like others: their answers stand.

    Parameters
    ----------
    catalogue
        The folder of a catalogue (any fsspec URI).
    labels
        URI of a CSV such as `pipeline.evaluation.read_votes` takes, or the table once read.
    progress
        Called with the number of rows just passed.
    as_of
        An older snapshot; see `pipeline.catalogue.delta.open_version`.

    Raises
    ------
    InputError
        If there is no catalogue, it or the label table lacks a column of the tree, no galaxy is in both, a
        galaxy is in the catalogue twice, an answer is no probability, or none of the galaxies has a vote.
    """
    snapshot = open_snapshot(catalogue, tree, as_of=as_of)
    table = read_votes(labels, tree) if isinstance(labels, str) else labels
    voted_ids = pa.array(table.ids, pa.string())
    optional = ["input", "weights", *uncertainty_columns(tree)]
    columns = ["object_id", *tree.columns, *(name for name in optional if name in snapshot.schema.names)]
    kept, example, rows = [], None, 0
    for batch in snapshot.batches(columns, progress):
        ids = batch["object_id"].cast(pa.string())
        rows += len(batch)
        example = ids[0].as_py() if example is None else example
        kept.append(batch.set_column(0, "object_id", ids).filter(pc.is_in(ids, voted_ids)))
    matched = pa.Table.from_batches(kept) if kept else None
    if matched is None or not len(matched):
        raise InputError(
            f"{table.uri} has votes for none of the {rows:,} galaxies of {catalogue}: ids there are like "
            f"{table.ids[0]!r}, and {'none' if example is None else repr(example)} here; expected the same"
        )
    return _joined(catalogue, table, tree, matched, rows)


def _joined(catalogue: str, table: VoteTable, tree: DecisionTree, matched: pa.Table, rows: int) -> Labelled:
    places = {name: row for row, name in enumerate(table.ids)}
    where = np.array([places[name] for name in matched["object_id"].to_pylist()], np.int64)
    order = np.argsort(where, kind="stable")
    where = where[order]
    ids = tuple(table.ids[i] for i in where)
    twice = np.flatnonzero(np.diff(where) == 0)
    if len(twice):
        raise InputError(
            f"{catalogue} holds galaxy {ids[twice[0]]} more than once; expected one row for each"
        )
    predicted = np.column_stack([matched[c].to_numpy().astype(np.float64) for c in tree.columns])[order]
    bad = np.argwhere(~((predicted >= -1e-4) & (predicted <= 1.0001)))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{catalogue}: {tree.columns[column]} of galaxy {ids[row]} is {predicted[row, column]:g}; "
            "expected a probability; classify it anew"
        )
    votes = table.votes[where].astype(np.float64)
    if np.isnan(votes).all():
        raise InputError(
            f"{table.uri} has no vote for any of the {len(ids):,} galaxies that {catalogue} holds, all are "
            "empty; expected vote fractions"
        )
    uncertainty = read_uncertainty(tree, matched)
    inputs, weights = (
        matched[name].to_pylist() if name in matched.column_names else [None] * len(matched)
        for name in ("input", "weights")
    )
    return Labelled(
        tree,
        ids,
        predicted,
        votes,
        tuple(inputs[i] for i in order),
        rows - len(ids),
        len(table.ids) - len(ids),
        None if uncertainty is None else uncertainty[order],
        tuple(weights[i] for i in order),
    )


def scores_on_common(read: dict[str, Labelled], own: Score) -> dict[str, Score]:
    """The score of each catalogue over the galaxies that all of them hold.

    Parameters
    ----------
    own
        That of the first over all of its own.

    Raises
    ------
    InputError
        If they have none in common.
    """
    names = list(read)
    if len(names) == 1:
        return {names[0]: own}
    common = set.intersection(*(set(one.ids) for one in read.values()))
    if not common:
        raise InputError(
            f"{' and '.join(names)} have no labelled galaxy in common; expected the same galaxies"
        )
    scores = {}
    for name, one in read.items():
        rows = np.array([i in common for i in one.ids])
        scores[name] = rmse_scores(one.predicted[rows], one.votes[rows], [slice(None)])[0]
    return scores
