"""The rows of a run under verification: what is known of each, and which aren't as they must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.clumps import CLUMP, CLUMP_COUNT, CLUMPS
from pipeline.catalogue.embedding import EMBEDDING, NUMBERS
from pipeline.catalogue.hashes import hash_rows
from pipeline.catalogue.rows import answer_matrix
from pipeline.catalogue.schema import CLASS, CLASS_CONFIDENCE
from pipeline.cutouts.place import Place, parse_places
from pipeline.protocol.plan import Plan
from pipeline.protocol.records.quarantine import QUARANTINE_REASONS
from pipeline.tree import LEAST_ASKED, DecisionTree, Question, agreement, is_asked, most_probable_classes

_PROBABILITY_TOLERANCE = 1e-5
_SUM_TOLERANCE = 1e-4


class Book:
    """What is known of every input row, by its place in the plan: 21 bytes a row.

    Attributes
    ----------
    selected
        Whether the row was to be classified.
    ids
        Hash of the row's object_id in the input; 0 where the input can't be read.
    nameless
        Whether the row has no object_id in the input.
    rows
        Hash of the catalogue row as it stands in its part; 0 where there is none.
    rejected, catalogued, quarantined
        Whether the row stands in a unit's rejects, in the catalogue, in the run's quarantine.
    """

    def __init__(self, plan: Plan) -> None:
        self._names = pa.array([shard.uri for shard in plan.shards], pa.string())
        self._lengths = np.array([shard.rows for shard in plan.shards])
        self.starts = np.cumsum([0, *self._lengths])
        self.unit_starts = np.cumsum([0, *(stop - start for _, start, stop in plan.windows())])
        self.selected = np.zeros(plan.rows, bool)
        for shard, begin in zip(plan.shards, self.starts, strict=False):
            for start, stop in shard.ranges:
                self.selected[begin + start : begin + stop] = True
        self.ids = np.zeros(plan.rows, np.uint64)
        self.rows = np.zeros(plan.rows, np.uint64)
        self.nameless = np.zeros(plan.rows, bool)
        self.rejected, self.catalogued, self.quarantined = np.zeros((3, plan.rows), bool)

    def locate(self, shards: pa.Array, rows: pa.Array) -> NDArray[np.int64]:
        """Places of input rows; -1 for one that the plan doesn't know."""
        shard = pc.fill_null(pc.index_in(shards, self._names), -1).to_numpy(zero_copy_only=False)
        row = pc.fill_null(rows, -1).to_numpy(zero_copy_only=False)
        in_plan = (shard >= 0) & (row >= 0) & (row < self._lengths[shard])
        return np.where(in_plan, self.starts[shard] + row, -1).astype(np.int64)

    def units(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The units that the places belong to."""
        return np.asarray(np.searchsorted(self.unit_starts, places, side="right") - 1)

    def name(self, place: int) -> str:
        """The name of a place, as the catalogue's column ``input`` has it: ``<shard>#<row>``."""
        shard = int(np.searchsorted(self.starts, place, side="right")) - 1
        return str(Place(self._names[shard].as_py(), int(place - self.starts[shard])))


@dataclass(frozen=True)
class RowProblem:
    """Rows of a file that aren't as they must be, all in one way.

    Attributes
    ----------
    expected
        What was expected of every row.
    rows : ndarray, shape (n,), bool
        Which rows are otherwise.
    actual
        What the i-th row is instead.
    """

    expected: str
    rows: NDArray[np.bool_]
    actual: Callable[[int], str]


class Tally:
    """Row problems of one file, gathered over its batches: a line a kind, not a line a row."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, problems: Iterable[RowProblem], table: pa.Table) -> None:
        """Count the problems of a batch."""
        for problem in problems:
            count = int(problem.rows.sum())
            if count and problem.expected not in self._first:
                first = int(problem.rows.argmax())
                name = table["object_id"][first].as_py()
                self._first[problem.expected] = f"found {problem.actual(first)} in object_id {name!r}"
            self._counts[problem.expected] += count

    def lines(self) -> Iterator[str]:
        """One line for each kind of problem that there was."""
        for expected, first in self._first.items():
            more = self._counts[expected] - 1
            yield f"expected {expected}, {first}" + (f" and otherwise in {more:,} rows more" if more else "")


def input_places(book: Book, catalogue: pa.Table) -> NDArray[np.int64]:
    """Places of catalogue rows, by their ``input`` column."""
    return book.locate(*parse_places(catalogue["input"].combine_chunks()))


def reject_places(book: Book, rejects: pa.Table) -> NDArray[np.int64]:
    """Places of quarantined rows."""
    return book.locate(rejects["shard"].combine_chunks(), rejects["row"].combine_chunks())


def catalogue_problems(
    plan: Plan,
    tree: DecisionTree,
    book: Book,
    rows: pa.Table,
    places: NDArray[np.int64],
    earlier: frozenset[str],
) -> Iterator[RowProblem]:
    """What is wrong with rows of a part or of the catalogue: origin, provenance, values.

    Parameters
    ----------
    earlier
        Runs of which the plan may have kept rows.
    """
    yield from _origin_problems(book, rows, places)
    runs, weights = rows["run"].to_numpy(), rows["weights"].to_numpy()
    own = (places < 0) | book.selected[places]
    yield RowProblem(f"run {plan.run}", own & (runs != plan.run), _sentence("{!r}", runs))
    other = ~own & ~np.isin(runs.astype(str), sorted(earlier))
    yield RowProblem("a kept row of an earlier run", other, _sentence("{!r}", runs))
    expected = plan.fingerprint.get("weights")
    yield RowProblem(f"weights {expected}", weights != expected, _sentence("{!r}", weights))
    averaged = plan.fingerprint.get("transforms") != "1"
    yield from value_problems(tree, rows, answer_matrix(tree, rows), averaged)


def quarantine_problems(book: Book, rows: pa.Table, places: NDArray[np.int64]) -> Iterator[RowProblem]:
    """What is wrong with quarantined rows: origin, reason, message.

    An object_id that is null, or that ends in an ellipsis, is one that could not be read, or was too long.
    """
    ids = pc.fill_null(rows["object_id"], "…")
    yield from _origin_problems(book, rows, places, pc.ends_with(ids, "…").to_numpy())
    reasons, messages = rows["reason"].to_numpy(), rows["message"]
    valid = pc.is_in(rows["reason"], pa.array(sorted(QUARANTINE_REASONS))).to_numpy()
    yield RowProblem("a known reason", ~valid, _sentence("{!r}", reasons))
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(messages, "")), "").to_numpy()
    yield RowProblem("a message", blank, _sentence("{!r}", messages.to_numpy()))


def repetition_problems(
    book: Book,
    rows: pa.Table,
    places: NDArray[np.int64],
    seen: NDArray[np.bool_],
    difference: Callable[[int], str],
) -> Iterator[RowProblem]:
    """Rows that were seen before, or differ from what their unit wrote.

    Parameters
    ----------
    seen
        The book's mark of rows of this kind; set for these.
    difference
        How the row of an index differs from what its unit wrote.
    """
    located = np.flatnonzero(places >= 0)
    _, first = np.unique(places[located], return_index=True)
    again = np.zeros(len(rows), bool)
    again[np.delete(located, first)] = True
    again[located] |= seen[places[located]]
    seen[places[located]] = True
    yield RowProblem("each row once", again, lambda i: f"{book.name(int(places[i]))} again")
    recorded = np.zeros(len(rows), np.uint64)
    recorded[located] = book.rows[places[located]]
    other = (recorded != 0) & (recorded != hash_rows(rows))
    yield RowProblem("each row as its unit wrote it", other, difference)


def _origin_problems(
    book: Book, rows: pa.Table, places: NDArray[np.int64], nameless: NDArray[np.bool_] | None = None
) -> Iterator[RowProblem]:
    columns = [name for name in ("input", "shard", "row") if name in rows.column_names]
    yield RowProblem(
        "an input row of the plan",
        places < 0,
        lambda i: "#".join(str(rows[name][i].as_py()) for name in columns),
    )
    planned = places >= 0
    planned_ids = np.zeros(len(rows), np.uint64)
    planned_ids[planned] = book.ids[places[planned]]
    other = (planned_ids != 0) & (planned_ids != hash_rows(rows.select(["object_id"])))
    if nameless is not None:
        other &= ~nameless
        other[planned] &= ~book.nameless[places[planned]]
    yield RowProblem(
        "the object_id of the input row", other, lambda i: f"another for {book.name(int(places[i]))}"
    )


def _sentence(template: str, *columns: NDArray[Any]) -> Callable[[int], str]:
    """A sentence of the i-th values of some columns."""
    return lambda i: template.format(*(column[i] for column in columns))


def value_problems(
    tree: DecisionTree, catalogue: pa.Table, p: NDArray[np.float32], averaged: bool
) -> Iterator[RowProblem]:
    """Rows of a catalogue whose values can't be the answers of a decision tree.

    Parameters
    ----------
    catalogue
        With `catalogue_schema`.
    p : ndarray, shape (n, answers), float32
        The answer columns of the catalogue.
    averaged
        Whether `p` is a mean over views. In a single view the answers of a question sum to the probability
        that it was asked, or are all zero; in a mean the views with all zero take the sum below it.
    """

    def worst(i: int) -> str:
        column = int(np.nan_to_num(np.abs(p[i] - 0.5), nan=np.inf).argmax())
        return f"{tree.columns[column]}={p[i, column]:g}"

    finite = np.asarray(np.isfinite(p).all(axis=1))
    within = (p >= -_PROBABILITY_TOLERANCE) & (p <= 1 + _PROBABILITY_TOLERANCE)
    sound = np.asarray(finite & within.all(axis=1))
    yield RowProblem("finite probabilities", ~finite, worst)
    yield RowProblem("probabilities within [0, 1]", finite & ~sound, worst)
    p = np.where(sound[:, None], p, 0)
    for question in tree.questions:
        answers = p[:, tree.slices[question.key]].astype(np.float64)
        total = answers.sum(axis=1)
        gate = tree.gates.get(question.key)
        asked = np.ones(len(p)) if gate is None else p[:, list(gate)].sum(axis=1)
        short = (total < asked - _SUM_TOLERANCE) & (total > 0) & (not averaged)
        yield RowProblem(
            f"answers of {question.key} that sum to the probability that it was asked",
            sound & (short | (total > asked + _SUM_TOLERANCE)),
            _sentence("a sum of {:.6f} where {:.6f} were asked", total, asked),
        )
        yield from _choice_problems(question, catalogue, answers, sound)
    if CLASS in catalogue.column_names:
        yield from _class_problems(tree, catalogue, p, sound)
    if "out_of_place" in catalogue.column_names:
        yield from _uncertainty_problems(tree, catalogue, p, sound)
    if EMBEDDING in catalogue.column_names:
        lengths = pc.fill_null(pc.binary_length(catalogue[EMBEDDING]), 0).to_numpy()
        yield RowProblem(
            f"an {EMBEDDING} of {NUMBERS} bytes", lengths != NUMBERS, _sentence("{} bytes", lengths)
        )
    if CLUMPS in catalogue.column_names:
        lengths = pc.fill_null(pc.binary_length(catalogue[CLUMPS]), -1).to_numpy()
        count = catalogue[CLUMP_COUNT].to_numpy()
        yield RowProblem(
            f"{CLUMPS} of {CLUMP.itemsize} bytes for each of {CLUMP_COUNT}",
            lengths != CLUMP.itemsize * count,
            _sentence("{} bytes for {}", lengths, count),
        )


def _choice_problems(
    question: Question, catalogue: pa.Table, answers: NDArray[np.float64], sound: NDArray[np.bool_]
) -> Iterator[RowProblem]:
    """Rows whose ``_answer`` or ``_agreement`` doesn't follow from the probabilities."""
    asked = answers.sum(axis=1) > 0
    enough = is_asked(answers, LEAST_ASKED if CLASS in catalogue.column_names else 0.0)
    keys = np.array([answer.key for answer in question.answers])
    answer = pa.array(keys[answers.argmax(axis=1)], pa.string(), mask=~enough).to_numpy(False)
    agreed = np.where(asked, agreement(np.where(asked[:, None], answers, 1.0)), np.nan)
    chosen = catalogue[f"{question.key}_answer"].to_numpy()
    stored = catalogue[f"{question.key}_agreement"].to_numpy()
    close = np.isclose(stored, agreed, rtol=0, atol=_SUM_TOLERANCE, equal_nan=True)
    yield _derived_problem(f"{question.key}_answer", chosen, answer, sound & (chosen != answer))
    yield _derived_problem(f"{question.key}_agreement", stored, agreed, sound & ~close)


def _class_problems(
    tree: DecisionTree, catalogue: pa.Table, p: NDArray[np.float32], sound: NDArray[np.bool_]
) -> Iterator[RowProblem]:
    """Rows whose class, or its confidence, doesn't follow from the probabilities."""
    classes, confidence = most_probable_classes(tree, p)
    names = np.array([*(named.name for named in tree.classes), None], object)[classes]
    stored = catalogue[CLASS_CONFIDENCE].to_numpy()
    expected = np.where(classes == len(tree.classes), np.nan, confidence)
    close = np.isclose(stored, expected, rtol=0, atol=_SUM_TOLERANCE, equal_nan=True)
    chosen = catalogue[CLASS].to_numpy()
    yield _derived_problem(CLASS, chosen, names, sound & (chosen != names))
    yield _derived_problem(CLASS_CONFIDENCE, stored, expected, sound & ~close)


def _derived_problem(
    column: str, actual: NDArray[Any], expected: NDArray[Any], wrong: NDArray[np.bool_]
) -> RowProblem:
    """Rows in which a column isn't what follows from the probabilities."""
    return RowProblem(
        f"{column} as the probabilities say", wrong, _sentence("{} where they say {}", actual, expected)
    )


def _uncertainty_problems(
    tree: DecisionTree, catalogue: pa.Table, p: NDArray[np.float32], sound: NDArray[np.bool_]
) -> Iterator[RowProblem]:
    """Rows whose answers lie outside their bounds, or whose other measures of certainty can't be."""
    for place, column in enumerate(tree.columns):
        low, high = (catalogue[f"{column}_{end}"].to_numpy() for end in ("low", "high"))
        inside = (low >= 0) & (low <= p[:, place] + _PROBABILITY_TOLERANCE) & (high <= 1)
        inside &= p[:, place] <= high + _PROBABILITY_TOLERANCE
        yield RowProblem(
            f"{column} between its bounds",
            sound & ~inside,
            _sentence("{:g} where they are {:g} and {:g}", p[:, place], low, high),
        )
    names = [f"{question.key}_volunteers" for question in tree.questions]
    for name in (*names, "out_of_place", "frame_ratio"):
        values = catalogue[name].to_numpy()
        yield RowProblem(
            f"a finite {name} from 0", ~(np.isfinite(values) & (values >= 0)), _sentence("{:g}", values)
        )
