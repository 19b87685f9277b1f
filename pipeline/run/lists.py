"""The two lists of a triage: galaxies that are settled, and those for people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.export import Snapshot
from pipeline.catalogue.rows import answer_matrix
from pipeline.catalogue.schema import holds_uncertainty
from pipeline.catalogue.snapshot import Progress
from pipeline.evaluation.triage import NOT_ASKED, SETTLED, TO_PEOPLE, Threshold, split
from pipeline.tree import DecisionTree

_PLACE = ("object_id", "ra", "dec")


def write_lists(
    snapshot: Snapshot,
    output: str,
    tree: DecisionTree,
    thresholds: list[Threshold],
    limit: int,
    advance: Progress,
) -> tuple[dict[str, int], pa.Table]:
    """Write ``settled.parquet`` and ``worklist.parquet``, a batch at a time.

    Returns
    -------
    counts
        ``people``: galaxies for people; ``<question>_settled`` and ``<question>_people`` of each question.
    subjects : pyarrow.Table
        The `limit` galaxies of the worklist with the least confidence, ties by id, with where each was read.
    """
    keys = [threshold.question for threshold in thresholds]
    counts = dict.fromkeys(["people", *(f"{key}_{end}" for key in keys for end in ("settled", "people"))], 0)
    answers = [f"{key}_answer" for key in keys]
    extra = [name for name in ("input",) if name in snapshot.schema.names]
    sure = holds_uncertainty(tree, snapshot.schema.names)
    worth = [f"{question.key}_volunteers" for question in tree.questions] if sure else []
    place = [snapshot.schema.field(name) for name in _PLACE]
    settled_schema = pa.schema([*place, *(pa.field(name, pa.string()) for name in answers)])
    work_schema = pa.schema(
        [*place, pa.field("questions", pa.string()), pa.field("confidence", pa.float64())]
    )
    least: pa.Table | None = None
    with (
        _parquet(storage.join(output, "settled.parquet"), settled_schema) as settled,
        _parquet(storage.join(output, "worklist.parquet"), work_schema) as work,
    ):
        for batch in snapshot.batches([*_PLACE, *tree.columns, *answers, *extra, *worth], advance):
            predicted = answer_matrix(tree, pa.Table.from_batches([batch])).astype(np.float64)
            volunteers = np.column_stack([batch[name].to_numpy() for name in worth]) if sure else None
            states, confidence = split(tree, thresholds, predicted, volunteers)
            people = (states == TO_PEOPLE).any(axis=1)
            counts["people"] += int(people.sum())
            for number, key in enumerate(keys):
                counts[f"{key}_settled"] += int((states[:, number] == SETTLED).sum())
                counts[f"{key}_people"] += int((states[:, number] == TO_PEOPLE).sum())
            settled.write_table(_settled(batch, states, answers, ~people, settled_schema))
            rows = _for_people(batch, states, confidence, keys, people)
            work.write_table(rows.select(work_schema.names).cast(work_schema))
            joined = rows if least is None else pa.concat_tables([least, rows])
            least = joined.sort_by([("confidence", "ascending"), ("object_id", "ascending")])[:limit]
    return counts, least if least is not None else work_schema.empty_table()


@contextlib.contextmanager
def _parquet(uri: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with storage.open_new(uri) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        yield writer


def _settled(
    batch: pa.RecordBatch,
    states: NDArray[np.int8],
    answers: list[str],
    rows: NDArray[np.bool_],
    schema: pa.Schema,
) -> pa.Table:
    """The settled galaxies with the answers that stand; null to what they weren't asked."""
    columns = [batch[name] for name in _PLACE]
    for number, name in enumerate(answers):
        words = batch[name].to_pylist()
        asked = states[:, number] != NOT_ASKED
        columns.append(pa.array([w if a else None for w, a in zip(words, asked, strict=True)], pa.string()))
    return pa.Table.from_arrays(columns, schema=schema).filter(pa.array(rows))


def _for_people(
    batch: pa.RecordBatch,
    states: NDArray[np.int8],
    confidence: NDArray[np.float64],
    keys: list[str],
    rows: NDArray[np.bool_],
) -> pa.Table:
    """The galaxies for people, with the questions that are open and the least confidence in these."""
    open_ = states == TO_PEOPLE
    questions = [" ".join(key for key, is_open in zip(keys, row, strict=True) if is_open) for row in open_]
    least = np.where(open_, confidence, np.inf).min(axis=1)
    inputs = batch["input"] if "input" in batch.schema.names else pa.nulls(len(batch), pa.string())
    table = pa.table(
        {name: batch[name] for name in _PLACE}
        | {"questions": pa.array(questions, pa.string()), "confidence": least, "input": inputs}
    )
    return table.filter(pa.array(rows))
