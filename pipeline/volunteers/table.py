"""The consensus as a table: of each galaxy votes, weighted fractions, shares and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.delta import load_table
from pipeline.catalogue.export import open_snapshot
from pipeline.catalogue.files import write_data_files
from pipeline.catalogue.schema import holds_uncertainty
from pipeline.confidence.intervals import LEVEL, beta_quantiles, share_distributions
from pipeline.errors import InputError
from pipeline.tree import DecisionTree, question_sums
from pipeline.volunteers.ballots import Ballots
from pipeline.volunteers.bayesian import KINDS, Knowledge, cumulative
from pipeline.volunteers.prior import NetworkAnswers
from pipeline.volunteers.weights import Weighted, fractions

_BATCH_ROWS = 16_384


def consensus_schema(tree: DecisionTree) -> pa.Schema:
    """Columns of a consensus.

    ``object_id``; ``classifications``, how many users looked; of each answer the cumulative share of all
    volunteers, named as in the catalogue, and its 90 % interval (``_low``, ``_high``); of each question the
    answer with the largest share and how many ``_volunteers`` that knowledge is worth; of each answer the
    ``_votes`` that it got and Galaxy Zoo 2's ``_weighted`` fraction of the votes on its question.
    """
    fields = [("object_id", pa.string()), ("classifications", pa.int64())]
    fields += [(column, pa.float32()) for column in tree.columns]
    fields += [(f"{column}_{end}", pa.float32()) for column in tree.columns for end in ("low", "high")]
    for question in tree.questions:
        fields += [(f"{question.key}_answer", pa.string()), (f"{question.key}_volunteers", pa.float32())]
    fields += [(f"{column}_votes", pa.int32()) for column in tree.columns]
    fields += [(f"{column}_weighted", pa.float32()) for column in tree.columns]
    names = [name for name, _ in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"tree {tree.name!r} makes two columns {twice[0]!r}; rename the answer's key")
    return pa.schema(fields)


def consensus_batches(ballots: Ballots, weighted: Weighted, knowledge: Knowledge) -> Iterator[pa.RecordBatch]:
    """Rows of the consensus, sorted by ``object_id``."""
    tree = ballots.tree
    schema = consensus_schema(tree)
    for start in range(0, len(ballots.subjects), _BATCH_ROWS):
        part = slice(start, start + _BATCH_ROWS)
        votes = knowledge.alpha[part] + knowledge.counts[part]
        answers = cumulative(tree, votes)
        worth = question_sums(tree, votes)
        low, high = share_bounds(tree, answers, worth)
        columns: list[pa.Array] = [
            pa.array(ballots.subjects[part], pa.string()),
            pa.array(ballots.classifications[part]),
        ]
        columns += _floats(answers)
        columns += _floats(np.stack([low, high], axis=2).reshape(len(low), -1))
        for number, question in enumerate(tree.questions):
            keys = np.array([answer.key for answer in question.answers])
            best = votes[:, tree.slices[question.key]].argmax(axis=1)
            columns += [pa.array(keys[best].tolist(), pa.string()), *_floats(worth[:, number : number + 1])]
        columns += [pa.array(column) for column in weighted.counts[part].T.astype(np.int32)]
        columns += _floats(fractions(tree, weighted.weights[part]))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def share_bounds(
    tree: DecisionTree, answers: NDArray[np.float64], worth: NDArray[np.float64], level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Credible intervals of the cumulative shares among infinitely many volunteers.

    Parameters
    ----------
    answers : ndarray, shape (n, answers)
        Cumulative shares.
    worth : ndarray, shape (n, questions)
        How many votes each question's shares are known by.

    Returns
    -------
    low, high : ndarray, shape (n, answers)
        0 ≤ low ≤ answer ≤ high ≤ 1.
    """
    mean, strength = share_distributions(tree, answers, worth, np.inf)
    tail = (1 - level) / 2
    low = beta_quantiles(mean, strength, tail)
    high = 1 - beta_quantiles(1 - mean, strength, tail)
    return np.minimum(low, answers).clip(0, 1), np.maximum(high, answers).clip(0, 1)


def users_table(ballots: Ballots, weighted: Weighted, knowledge: Knowledge) -> pa.Table:
    """Of each user consistency and weight by Galaxy Zoo 2's rule, and the probability of each kind."""
    columns = {
        "user": pa.array(ballots.users, pa.string()),
        "consistency": weighted.consistency.astype(np.float32),
        "weight": weighted.user_weights.astype(np.float32),
    }
    return pa.table(columns | dict(zip(KINDS, knowledge.kinds.T.astype(np.float32), strict=True)))


def read_network(uri: str, tree: DecisionTree, subjects: Sequence[str]) -> NetworkAnswers:
    """A catalogue's answers for those of the galaxies that it has.

    Raises
    ------
    InputError
        If there is no catalogue, it has not the tree's columns, or none of the galaxies.
    """
    snapshot = open_snapshot(uri, tree)
    sure = holds_uncertainty(tree, snapshot.schema.names)
    worth = [f"{question.key}_volunteers" for question in tree.questions] if sure else []
    code = {subject: number for number, subject in enumerate(subjects)}
    places, answers, volunteers = [], [], []
    for batch in snapshot.batches(["object_id", *tree.columns, *worth]):
        codes = np.array([code.get(name, -1) for name in batch["object_id"].to_pylist()], np.int64)
        kept = codes >= 0
        places.append(codes[kept])
        answers.append(np.stack([batch[name].to_numpy()[kept] for name in tree.columns], axis=1))
        if sure:
            volunteers.append(np.stack([batch[name].to_numpy()[kept] for name in worth], axis=1))
    galaxies = np.concatenate(places) if places else np.zeros(0, np.int64)
    if not len(galaxies):
        raise InputError(
            f"prior={uri} has none of the {len(subjects):,} subjects, such as {subjects[0]!r}; expected a "
            "catalogue whose object_id are the votes' subjects"
        )
    ones = np.ones((len(galaxies), len(tree.questions)))
    known = np.concatenate(volunteers).astype(np.float64) if sure else ones
    return NetworkAnswers(galaxies, np.concatenate(answers).astype(np.float64), known.clip(min=1e-3))


def write_table(uri: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write rows as a Parquet file, where the name ends so, else as the next version of a Delta table.

    Raises
    ------
    InputError
        If it can't be written, or the table there has other columns.
    """
    if uri.endswith(".parquet"):
        with storage.open_new(uri) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        return
    table = load_table(uri)
    if table is not None and table.schema().to_arrow().names != schema.names:
        raise InputError(f"{uri} holds a table with other columns; name another output")
    files = write_data_files(uri, schema, batches)
    with storage.explained("commit to", uri), storage.panics_unprinted():
        if table is None:
            table = DeltaTable.create(uri, schema, mode="ignore", storage_options=storage.delta_options(uri))
        table.create_write_transaction(
            list(files),
            mode="overwrite",
            schema=schema,
            commit_properties=CommitProperties(max_commit_retries=0),
        )


def _floats(columns: NDArray[np.float64]) -> list[pa.Array]:
    return [pa.array(np.ascontiguousarray(column)) for column in columns.T.astype(np.float32)]
