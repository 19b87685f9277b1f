"""All galaxies of a catalogue with what people and network have settled, and who looks next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.export import Snapshot
from pipeline.catalogue.rows import answer_matrix
from pipeline.catalogue.schema import holds_uncertainty
from pipeline.catalogue.snapshot import Progress
from pipeline.tree import DecisionTree
from pipeline.volunteers.bayesian import cumulative
from pipeline.volunteers.prior import Prior
from pipeline.volunteers.settlement import NOT_ASKED, OPEN, STATES, Settlement, Terms, settlement

PEOPLE, EXPERTS = "people", "experts"
"""Who looks at a galaxy next."""

_PLACE = ("object_id", "ra", "dec")
_SOURCE = ("input", "content")
_NEXT = (
    ("object_id", pa.string()),
    ("ra", pa.float64()),
    ("dec", pa.float64()),
    ("whom", pa.string()),
    ("gain", pa.float64()),
    ("questions", pa.string()),
    ("confidence", pa.float64()),
    ("classifications", pa.int64()),
    ("input", pa.string()),
)


def settled_schema(tree: DecisionTree) -> pa.Schema:
    """Columns of the table of galaxies.

    ``object_id, ra, dec``; ``classifications``, how many people looked; ``next``, who looks next, null where
    nothing is open; ``gain``, by how much one more look is expected to raise the probabilities of the answers
    for which it's worth its price; and of each question the leading answer (null where fewer than half of the
    volunteers would be asked), the probability that most would give it, and by whom it is settled:
    ``network``, ``people``, ``both`` or, where nobody has, ``open``.
    """
    fields = [("object_id", pa.string()), ("ra", pa.float64()), ("dec", pa.float64())]
    fields += [("classifications", pa.int64()), ("next", pa.string()), ("gain", pa.float32())]
    for question in tree.questions:
        fields += [
            (f"{question.key}_answer", pa.string()),
            (f"{question.key}_probability", pa.float32()),
            (f"{question.key}_settled_by", pa.string()),
        ]
    return pa.schema(fields)


@dataclass
class Votes:
    """What volunteers said, by the galaxies' ids.

    Attributes
    ----------
    subjects
        Ids of the galaxies.
    counts : ndarray, shape (galaxies, answers)
        Votes as they are understood.
    classifications : ndarray, shape (galaxies,), int64
        How many people looked.
    """

    subjects: Sequence[str]
    counts: NDArray[np.float64]
    classifications: NDArray[np.int64]

    def __post_init__(self) -> None:
        self._codes = {subject: code for code, subject in enumerate(self.subjects)}

    def of(self, ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Counts and classifications of galaxies; zeros of those that nobody has looked at."""
        codes = np.array([self._codes.get(name, -1) for name in ids], np.int64)
        seen = codes >= 0
        counts = np.zeros((len(ids), self.counts.shape[1]))
        looked = np.zeros(len(ids), np.int64)
        counts[seen], looked[seen] = self.counts[codes[seen]], self.classifications[codes[seen]]
        return counts, looked


@dataclass
class Settling:
    """Goes over a catalogue once, and remembers what it comes to.

    Attributes
    ----------
    terms
        On which answers are settled; what is open although no look is worth its price is for experts.
    limit
        Galaxies of `next_galaxies`.
    labels_from
        People that must have looked at one of `labelled`.
    answers
        Of each question how many galaxies are in each of `STATES`.
    done, for_people, for_experts, to_come
        See `pipeline.volunteers.rounds.Round`.
    """

    tree: DecisionTree
    prior: Prior
    votes: Votes
    terms: Terms
    limit: int
    labels_from: int
    answers: dict[str, dict[str, int]] = field(init=False)
    done: int = 0
    for_people: int = 0
    for_experts: int = 0
    to_come: float = 0.0

    def __post_init__(self) -> None:
        self.answers = {question.key: dict.fromkeys(STATES, 0) for question in self.tree.questions}
        self._next = pa.schema(_NEXT).empty_table()
        self._labelled: list[pa.Table] = []
        self._shares: list[NDArray[np.float64]] = [np.empty((0, self.tree.answer_count))]

    @property
    def labelled(self) -> tuple[pa.Table, NDArray[np.float64]]:
        """Galaxies that enough people have looked at, and their cumulative shares.

        The table has the columns ``object_id, input, content, classifications``; the shares are of shape
        (galaxies, answers).
        """
        return pa.concat_tables(self._labelled), np.concatenate(self._shares)

    @property
    def next_galaxies(self) -> pa.Table:
        """The galaxies in which one more volunteer gains most, the most first; ties by id."""
        return self._next

    def rows(self, snapshot: Snapshot, progress: Progress) -> Iterator[pa.RecordBatch]:
        """The table of galaxies, in the catalogue's order."""
        tree = self.tree
        sure = holds_uncertainty(tree, snapshot.schema.names)
        worth = [f"{question.key}_volunteers" for question in tree.questions] if sure else []
        for batch in snapshot.batches([*_PLACE, *_SOURCE, *tree.columns, *worth], progress):
            probabilities = answer_matrix(tree, pa.Table.from_batches([batch])).astype(np.float64)
            ones = np.ones((len(batch), len(tree.questions)))
            volunteers = np.column_stack([batch[name].to_numpy() for name in worth]) if sure else ones
            counts, looked = self.votes.of(batch["object_id"].to_pylist())
            alpha = self.prior.with_network(probabilities, np.maximum(volunteers, 1e-3))
            settled = settlement(tree, alpha, self.prior.without_network(), counts, looked, self.terms)
            self._keep_labelled(batch, alpha + counts, looked)
            yield self._row_batch(batch, settled, looked)

    def _row_batch(
        self, batch: pa.RecordBatch, settled: Settlement, looked: NDArray[np.int64]
    ) -> pa.RecordBatch:
        open_ = (settled.state == OPEN).any(axis=1)
        gain = settled.gain.sum(axis=1)
        whom = np.where(gain > 0, PEOPLE, EXPERTS)
        self.done += int((~open_).sum())
        self.for_people += int((open_ & (whom == PEOPLE)).sum())
        self.for_experts += int((open_ & (whom == EXPERTS)).sum())
        self.to_come += float(settled.looks.max(axis=1, initial=0).sum())
        for number, counts in enumerate(self.answers.values()):
            for state, count in zip(STATES, np.bincount(settled.state[:, number], minlength=5), strict=True):
                counts[state] += int(count)
        self._keep_next(batch, settled, looked, whom, open_, gain)
        columns = [batch[name] for name in _PLACE]
        columns += [pa.array(looked), pa.array(whom.tolist(), pa.string(), mask=~open_)]
        columns += [pa.array(gain.astype(np.float32))]
        for number, question in enumerate(self.tree.questions):
            states = settled.state[:, number]
            unasked = states == NOT_ASKED
            keys = np.array([answer.key for answer in question.answers])[settled.answer[:, number]]
            columns.append(pa.array(keys.tolist(), pa.string(), mask=unasked))
            columns.append(pa.array(settled.probability[:, number].astype(np.float32), mask=unasked))
            columns.append(pa.array(np.array(STATES)[states].tolist(), pa.string(), mask=unasked))
        return pa.RecordBatch.from_arrays(columns, schema=settled_schema(self.tree))

    def _keep_labelled(
        self, batch: pa.RecordBatch, votes: NDArray[np.float64], looked: NDArray[np.int64]
    ) -> None:
        rows = np.flatnonzero(looked >= self.labels_from)
        columns = {name: batch[name].take(pa.array(rows)) for name in ("object_id", *_SOURCE)}
        self._labelled.append(pa.table(columns | {"classifications": looked[rows]}))
        self._shares.append(cumulative(self.tree, votes[rows]))

    def _keep_next(
        self,
        batch: pa.RecordBatch,
        settled: Settlement,
        looked: NDArray[np.int64],
        whom: NDArray[np.str_],
        open_: NDArray[np.bool_],
        gain: NDArray[np.float64],
    ) -> None:
        keys = [question.key for question in self.tree.questions]
        rows = np.flatnonzero(open_)
        if len(rows) > self.limit:  # of a batch, no more can be among the most of all
            rows = rows[np.argsort(-gain[rows], kind="stable")[: self.limit]]
        unsure = settled.state[rows] == OPEN
        questions = [
            " ".join(key for key, is_open in zip(keys, row, strict=True) if is_open) for row in unsure
        ]
        least = np.where(unsure, settled.probability[rows], np.inf).min(axis=1, initial=np.inf)
        more = pa.table(
            [
                *(batch[name].take(pa.array(rows)) for name in _PLACE),
                pa.array(whom[rows].tolist(), pa.string()),
                pa.array(gain[rows]),
                pa.array(questions, pa.string()),
                pa.array(least),
                pa.array(looked[rows]),
                batch["input"].take(pa.array(rows)),
            ],
            schema=pa.schema(_NEXT),
        )
        order = [("gain", "descending"), ("object_id", "ascending")]
        self._next = pa.concat_tables([self._next, more]).sort_by(order)[: self.limit]
