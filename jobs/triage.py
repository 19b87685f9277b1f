"""Triage: which galaxies of a catalogue are settled, and which people should look at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from pipeline import storage
from pipeline.catalogue.export import Snapshot, open_snapshot
from pipeline.catalogue.snapshot import Progress
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation.labelled import read_labelled
from pipeline.evaluation.triage import NOT_ASKED, SETTLED, TO_PEOPLE, Threshold, learn_threshold, split
from pipeline.places import Output, TablePlace
from pipeline.report.document import write_document
from pipeline.report.triage import triage_sections
from pipeline.run.subjects import write_subjects
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, Question, load_tree

_PLACE = ("object_id", "ra", "dec")


class TriageConfig(StrictModel):
    """What `tuningfork triage` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    labels
        CSV of votes for some of its galaxies, that the network wasn't trained on.
    output
        Where the lists, the subjects and the report go.
    tree
        The decision tree whose answers the catalogue holds.
    target
        The share of settled answers that must be what most volunteers would say.
    risk
        The probability with which that may fail, over the labelled galaxies drawn.
    questions
        Keys of the questions to settle; all of the tree if none is given.
    subjects
        Most galaxies that get a picture and a line in the Zooniverse manifest, the least confident first.
    votes_each
        Volunteers that look at a galaxy, for the work saved.
    """

    catalogue: TablePlace
    labels: str
    output: Output
    tree: str = str(GALAXY_ZOO_2)
    target: float = Field(default=0.95, gt=0.5, lt=1)
    risk: float = Field(default=0.1, gt=0, lt=1)
    questions: tuple[str, ...] = ()
    subjects: int = Field(default=1_000, ge=0)
    votes_each: int = Field(default=40, gt=0)


def run(config: TriageConfig) -> None:
    """Learn the thresholds, split the catalogue, write both lists, the subjects and the report.

    Raises
    ------
    InputError
        If catalogue, labels or questions can't be used.
    """
    tree = load_tree(config.tree)
    questions = _questions(tree, config.questions)
    labelled = read_labelled(config.catalogue, config.labels, tree)
    thresholds = [
        learn_threshold(tree, question, labelled.predicted, labelled.votes, config.target, config.risk)
        for question in questions
    ]
    for threshold in thresholds:
        say(told(threshold))
    output = storage.absolute(config.output)
    snapshot = open_snapshot(config.catalogue, tree)
    with progress("Splitting", snapshot.all_rows) as advance:
        counts, subjects = write_lists(snapshot, output, tree, thresholds, config.subjects, advance)
    pictured = write_subjects(output, storage.absolute(config.catalogue), subjects)
    people, rows = counts["people"], snapshot.rows
    settled, left = (sum(counts[f"{t.question}_{end}"] for t in thresholds) for end in ("settled", "people"))
    share = f"{settled / max(settled + left, 1):.1%}"
    say(
        f"{settled:,} of {settled + left:,} answers are settled ({share}), which saves volunteers "
        f"{settled * config.votes_each:,} of {(settled + left) * config.votes_each:,} answers; "
        f"{rows - people:,} of {rows:,} galaxies are settled in all that they were asked, {people:,} are for "
        "people"
    )
    if len(subjects) > pictured:
        say(f"{len(subjects) - pictured:,} of the {len(subjects):,} subjects have no cutout to show")
    page = write_document(
        output,
        "Triage",
        f"{share} of the answers are settled. {rows - people:,} of {rows:,} galaxies are in all that they "
        f"were asked; {people:,} are for people.",
        triage_sections(tree, labelled.predicted, labelled.votes, thresholds, counts),
        facts=[
            (share, "of the answers settled"),
            (f"{settled * config.votes_each:,}", "answers that volunteers needn’t give"),
            (f"{people:,}", "galaxies for people"),
            (f"{config.target:.0%}", "accuracy promised"),
            (f"{len(labelled):,}", "labelled galaxies"),
        ],
    )
    say(f"For people: {storage.join(output, 'worklist.parquet')}, {storage.join(output, 'subjects')}")
    say(f"Settled:    {storage.join(output, 'settled.parquet')}")
    say(f"Report:     {page}")


def told(threshold: Threshold) -> str:
    """A threshold in words."""
    t = threshold
    if t.confidence is None:
        return (
            f"{t.question}: no confidence keeps the promise of {t.target:.0%} with {t.galaxies:,} labelled "
            "galaxies; all are for people"
        )
    return (
        f"{t.question}: settled from confidence {t.confidence:.3f}, as {t.settled / t.galaxies:.0%} of the "
        f"labelled galaxies are; {t.accuracy:.1%} of those are right (95 %: {t.low:.1%} to {t.high:.1%})"
    )


def write_lists(
    snapshot: Snapshot,
    output: str,
    tree: DecisionTree,
    thresholds: list[Threshold],
    most: int,
    advance: Progress,
) -> tuple[dict[str, int], pa.Table]:
    """Write ``settled.parquet`` and ``worklist.parquet``, a batch at a time.

    Returns
    -------
    counts
        ``people``: galaxies for people; ``<question>_settled`` and ``<question>_people`` of each question.
    subjects : pyarrow.Table
        The `most` galaxies of the worklist with the least confidence, ties by id, with where each was read.
    """
    keys = [threshold.question for threshold in thresholds]
    counts = dict.fromkeys(["people", *(f"{key}_{end}" for key in keys for end in ("settled", "people"))], 0)
    answers = [f"{key}_answer" for key in keys]
    extra = [name for name in ("input",) if name in snapshot.schema.names]
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
        for batch in snapshot.batches([*_PLACE, *tree.columns, *answers, *extra], advance):
            predicted = np.column_stack([batch[c].to_numpy().astype(np.float64) for c in tree.columns])
            states, confidence = split(tree, thresholds, predicted)
            people = (states == TO_PEOPLE).any(axis=1)
            counts["people"] += int(people.sum())
            for number, key in enumerate(keys):
                counts[f"{key}_settled"] += int((states[:, number] == SETTLED).sum())
                counts[f"{key}_people"] += int((states[:, number] == TO_PEOPLE).sum())
            settled.write_table(_settled(batch, states, answers, ~people, settled_schema))
            rows = _for_people(batch, states, confidence, keys, people)
            work.write_table(rows.select(work_schema.names).cast(work_schema))
            joined = rows if least is None else pa.concat_tables([least, rows])
            least = joined.sort_by([("confidence", "ascending"), ("object_id", "ascending")])[:most]
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


def _questions(tree: DecisionTree, keys: tuple[str, ...]) -> list[Question]:
    known = {question.key: question for question in tree.questions}
    for key in keys:
        if key not in known:
            raise InputError(f"questions={key!r} is none of tree {tree.name!r}; it has {', '.join(known)}")
    return [known[key] for key in keys or known]
