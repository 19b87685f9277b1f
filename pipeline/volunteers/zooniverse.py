"""Rows of a Panoptes classification export → votes.

An export is a table of one row a classification, whose annotations and subject are JSON. There are far fewer
distinct ways through a workflow than classifications, and fewer subjects: each distinct text is read once,
and all else is done to columns.

References
----------
Panoptes, https://github.com/zooniverse/panoptes: lib/formatter/csv/classification.rb, which writes the
columns, and annotation_for_csv.rb, which writes the annotations.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import storage
from pipeline.tree import DecisionTree
from pipeline.volunteers.mapping import Mapping, Task, plain
from pipeline.volunteers.records import VOTES

COLUMNS = (
    "classification_id",
    "user_name",
    "user_id",
    "workflow_id",
    "workflow_name",
    "created_at",
    "annotations",
    "subject_data",
    "subject_ids",
)
"""The columns of an export that are used; ``user_id`` and ``workflow_name`` may be missing."""

OPTIONAL = frozenset({"user_id", "workflow_name"})

_TIMES = ("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S")
_MOST_KEPT = 200_000
"""Distinct annotations whose meaning is remembered."""


class ExportReader:
    """Turns rows of exports into votes; it remembers subjects and annotations that it has read."""

    def __init__(self, mapping: Mapping, tree: DecisionTree) -> None:
        self._mapping = mapping
        self._tree = tree
        self._columns = {(q.key, a.key): tree.slices[q.key].start + i for q in tree.questions
                         for i, a in enumerate(q.answers)}  # fmt: skip
        self._annotations: dict[str, tuple[int, ...] | str] = {}
        self._subjects: dict[str, str] = {}

    def votes(self, rows: pa.Table) -> tuple[pa.Table, NDArray[np.object_]]:
        """The votes in rows of an export.

        Parameters
        ----------
        rows
            `COLUMNS` as text; null where there is nothing.

        Returns
        -------
        votes : pyarrow.Table
            With `VOTES`; of rows with the same id those of the first.
        reasons : ndarray of str
            What is wrong with each row, empty if nothing is; none of its answers is among the votes then.
        """
        reasons: NDArray[np.object_] = np.full(len(rows), "", object)
        ids = _numbers(rows["classification_id"], reasons)
        users = self._users(rows, reasons)
        self._check_workflow(rows, reasons)
        times = _times(rows["created_at"], reasons)
        subjects = self._subjects_of(rows, reasons)
        codes, lengths, starts, flat = self._answers(rows["annotations"], reasons)
        first = np.zeros(len(rows), bool)
        usable = np.flatnonzero(reasons == "")
        first[usable[np.unique(ids.to_numpy()[usable], return_index=True)[1]]] = True
        counts = np.where(first, lengths[codes], 0)
        row = np.repeat(np.arange(len(rows)), counts)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns = flat[starts[codes[row]] + place]
        take = pa.array(row)
        votes = [ids.take(take), users.take(take), subjects.take(take)]
        votes += [*answer_texts(self._tree, columns), times.take(take)]
        return pa.Table.from_arrays(votes, schema=VOTES), reasons

    def _users(self, rows: pa.Table, reasons: NDArray[np.object_]) -> pa.Array:
        """The name that a user logs in with, or a hash of who isn't logged in; else the user's number."""
        users = _emptied(rows["user_name"])
        if "user_id" in rows.column_names:
            users = pc.coalesce(users, _emptied(rows["user_id"]))
        _blame(reasons, pc.is_null(users), lambda _: "it names no user")
        return pc.fill_null(users, "")

    def _check_workflow(self, rows: pa.Table, reasons: NDArray[np.object_]) -> None:
        if self._mapping.workflows:
            workflows = pc.fill_null(pc.utf8_trim_whitespace(_one(rows["workflow_id"])), "")
            other = pc.invert(pc.is_in(workflows, pa.array(sorted(self._mapping.workflows), pa.string())))
            names = rows["workflow_name"] if "workflow_name" in rows.column_names else rows["workflow_id"]
            _blame(
                reasons,
                other,
                lambda row: (
                    f"it is of workflow {workflows[row].as_py()} ({_short(names[row].as_py())}), and the "
                    f"mapping is of {', '.join(sorted(self._mapping.workflows))}"
                ),
            )

    def _subjects_of(self, rows: pa.Table, reasons: NDArray[np.object_]) -> pa.Array:
        numbers = pc.fill_null(_emptied(rows["subject_ids"]), "").dictionary_encode()
        codes, data = numbers.indices.to_numpy(), rows["subject_data"]
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(numbers.dictionary) + 1))
        names: list[str] = []
        for code, number in enumerate(numbers.dictionary.to_pylist()):
            places = order[bounds[code] : bounds[code + 1]]
            if number not in self._subjects:
                reason = self._read_subject(number, (data[int(place)].as_py() for place in places))
                if reason:
                    _blame_rows(reasons, places, reason)
            names.append(self._subjects.get(number, ""))
        return pa.array(names, pa.string()).take(numbers.indices)

    def _read_subject(self, number: str, texts: Any) -> str:
        """Remember the galaxy of a subject; what is wrong if none of the texts tells it."""
        if not number or ";" in number:
            return f"it is of subjects {number!r}; expected one" if number else "it names no subject"
        reason = ""
        for text in texts:
            try:
                metadata = json.loads(text)[number]
                named = next(
                    (metadata[n] for n in self._mapping.subject if metadata.get(n) not in (None, "")), number
                )
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                reason = f"subject_data {_short(text)} is no JSON object of subject {number}"
                continue
            self._subjects[number] = storage.unguarded(_text(named))
            return ""
        return reason

    def _answers(
        self, texts: pa.ChunkedArray, reasons: NDArray[np.object_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Code of each row's annotations; of each code how many answers they hold, from where, and all."""
        distinct = pc.fill_null(_one(texts), "").dictionary_encode()
        codes = distinct.indices.to_numpy().astype(np.int64)
        answers: list[tuple[int, ...]] = []
        for code, text in enumerate(distinct.dictionary.to_pylist()):
            read = self._annotations.get(text)
            if read is None:
                if len(self._annotations) >= _MOST_KEPT:
                    self._annotations.clear()
                read = self._annotations[text] = self._read_annotations(text)
            if isinstance(read, str):
                _blame_rows(reasons, np.flatnonzero(codes == code), read)
                read = ()
            answers.append(read)
        lengths = np.array([len(one) for one in answers], np.int64)
        flat = np.array([column for one in answers for column in one], np.int64)
        return codes, lengths, np.cumsum(lengths) - lengths, flat

    def _read_annotations(self, text: str) -> tuple[int, ...] | str:
        """Columns of the tree that the annotations choose, or what is wrong with them."""
        try:
            annotations = json.loads(text)
        except (ValueError, RecursionError):
            return f"annotations {_short(text)} are no JSON"
        chosen: dict[str, tuple[int, ...]] = {}
        try:
            for annotation in _flattened(annotations):
                label = annotation.get("task_label")
                try:
                    task = self._mapping.task(annotation.get("task"), label)
                except LookupError:
                    named = f"{_short(annotation.get('task'))} ({_short(label)})"
                    return f"task {named} is neither mapped nor ignored by {self._mapping.source}"
                value = annotation.get("value")
                if task is None or value in (None, "", []):
                    continue  # left without an answer
                keys = [_answer(task, one) for one in (value if isinstance(value, list) else [value])]
                # Who goes back and answers again means the last answer.
                chosen[task.question] = tuple(
                    dict.fromkeys(self._columns[task.question, key] for key in keys)
                )
        except (TypeError, AttributeError):
            return f"annotations {_short(text)} are no list of tasks"
        except _UnknownAnswer as error:
            return str(error)
        if not chosen:
            return "it answers none of the tree's questions"
        return tuple(column for columns in chosen.values() for column in columns)


class _UnknownAnswer(Exception):
    pass


def answer_texts(tree: DecisionTree, columns: NDArray[np.int64]) -> list[pa.Array]:
    """Keys of question and answer for columns of the tree."""
    keys = [(q.key, a.key) for q in tree.questions for a in q.answers]
    take = pa.array(columns)
    return [pa.array([pair[part] for pair in keys], pa.string()).take(take) for part in (0, 1)]


def _answer(task: Task, value: object) -> str:
    """The key of an answer; a number is the place of its button, in exports whose texts are lost."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(task.in_order):
        return task.in_order[value]
    key = task.by_text.get(plain(value)) if isinstance(value, str) else None
    if key is None:
        raise _UnknownAnswer(f"answer {_short(value)} to {task.question!r} is none that the mapping has")
    return key


def _flattened(annotations: Any) -> list[dict[str, Any]]:
    """Annotations one after the other, those within combined tasks too."""
    flat: list[dict[str, Any]] = []
    for annotation in annotations:
        inner = annotation.get("value")
        if isinstance(inner, list) and inner and isinstance(inner[0], dict) and "task" in inner[0]:
            flat += inner
        else:
            flat.append(annotation)
    return flat


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _emptied(column: pa.ChunkedArray) -> pa.Array:
    """Text without spaces around it; null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(_one(column))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _numbers(column: pa.ChunkedArray, reasons: NDArray[np.object_]) -> pa.Array:
    text = pc.fill_null(_emptied(column), "")
    bad = pc.invert(pc.match_substring_regex(text, r"^[0-9]{1,18}$"))
    _blame(reasons, bad, lambda row: f"classification_id {_short(text[row].as_py())} is no number")
    return pc.if_else(bad, "0", text).cast(pa.int64())


def _times(column: pa.ChunkedArray, reasons: NDArray[np.object_]) -> pa.Array:
    text = pc.fill_null(_emptied(column), "")
    whole = pc.replace_substring_regex(text, r"\.[0-9]+", "")
    times = pc.coalesce(*(pc.strptime(whole, form, "us", error_is_null=True) for form in _TIMES))
    _blame(
        reasons,
        pc.is_null(times),
        lambda row: f"created_at {_short(text[row].as_py())} is no time such as 2018-02-20 10:44:42 UTC",
    )
    return pc.fill_null(times, 0).cast(pa.timestamp("us", tz="UTC"))


def _blame(reasons: NDArray[np.object_], bad: pa.Array, reason: Any) -> None:
    for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)):
        if not reasons[row]:
            reasons[row] = reason(int(row))


def _blame_rows(reasons: NDArray[np.object_], rows: NDArray[np.int64], reason: str) -> None:
    for row in rows:
        if not reasons[row]:
            reasons[row] = reason


def _text(value: object) -> str:
    """An identifier as text: a whole number without the fraction that spreadsheets give it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[0]}"
