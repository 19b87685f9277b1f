"""Distributions over a whole catalogue: classes, mean answers, agreement and confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.classes import Reading, probability_batches, require_columns
from pipeline.tree import DecisionTree, Question

BINS = 20
_FINE = 10_000


@dataclass(frozen=True)
class MeanAnswers:
    """How the votes on one question divide, over the whole catalogue.

    Attributes
    ----------
    asked
        Mean probability that the question was asked.
    shares
        Each answer's share of all votes on the question, in the tree's order; empty if it was never asked.
    """

    asked: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts in equal bins of [0, 1], and where the ticks of its count axis are."""

    counts: tuple[int, ...]
    ticks: tuple[int, ...]
    median: float | None

    @property
    def top(self) -> int:
        """Count at the top of the axis, at least 1."""
        return self.ticks[-1]


@dataclass(frozen=True)
class CatalogueCounts:
    """What is counted over all rows of a catalogue.

    Attributes
    ----------
    classes
        Galaxies of each class in the tree's order; the last count is of those without a class.
    means
        How the votes divide on each question, by question key.
    agreement
        Histogram of the agreement in the tree's first question, where it was asked.
    confidence
        Histogram of the confidence in the class.
    unfamiliar
        Galaxies whose pictures are unlike those trained on; None where the catalogue doesn't say.
    """

    rows: int
    classes: tuple[int, ...]
    means: dict[str, MeanAnswers]
    agreement: Histogram
    confidence: Histogram
    unfamiliar: int | None = None


class CatalogueCounter:
    """Counts a catalogue a piece at a time, in memory that doesn't grow."""

    def __init__(self, tree: DecisionTree) -> None:
        self._tree = tree
        self._classes = np.zeros(len(tree.classes) + 1, np.int64)
        self._votes = np.zeros(tree.answer_count)
        self._agreement, self._confidence = HistogramCounter(), HistogramCounter()
        self._unfamiliar: int | None = None

    def add(self, rows: pa.Table, reading: Reading) -> None:
        """Count some rows, of which `reading` tells the classes."""
        name = f"{self._tree.questions[0].key}_agreement"
        require_columns(rows, [name], "the catalogue")
        self._classes += np.bincount(reading.classes, minlength=len(self._classes))
        for p in probability_batches(self._tree, rows):
            self._votes += np.nan_to_num(p).sum(axis=0)
        self._agreement.add(rows[name].drop_null().to_numpy().astype(np.float64))
        self._confidence.add(reading.confidence)
        if "out_of_place" in rows.column_names:
            self._unfamiliar = (self._unfamiliar or 0) + int((rows["out_of_place"].to_numpy() > 1).sum())

    def counts(self) -> CatalogueCounts:
        """The counts over all rows that were added so far."""
        rows = int(self._classes.sum())
        return CatalogueCounts(
            rows,
            tuple(self._classes.tolist()),
            {question.key: self._means(question, rows) for question in self._tree.questions},
            self._agreement.histogram(),
            self._confidence.histogram(),
            self._unfamiliar,
        )

    def _means(self, question: Question, rows: int) -> MeanAnswers:
        votes = self._votes[self._tree.slices[question.key]]
        asked = float(votes.sum())
        return MeanAnswers(asked / max(rows, 1), tuple((votes / asked).tolist()) if asked > 0 else ())


class HistogramCounter:
    """Counts values in [0, 1]; the median comes out to within half a ten-thousandth."""

    def __init__(self) -> None:
        self._bins = np.zeros(BINS, np.int64)
        self._fine = np.zeros(_FINE + 1, np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        """Count some values, shape (n,); NaN is left out."""
        numbers = values[~np.isnan(values)]
        self._bins += np.histogram(numbers, bins=BINS, range=(0.0, 1.0))[0]
        nearest = np.rint(numbers.clip(0, 1) * _FINE).astype(np.int64)
        self._fine += np.bincount(nearest, minlength=_FINE + 1)

    def histogram(self) -> Histogram:
        """The histogram of all values that were added so far, with its median."""
        counted = self._fine.cumsum()
        middle = ((counted[-1] - 1) // 2, counted[-1] // 2)
        median = float(np.searchsorted(counted, middle, side="right").mean()) / _FINE if counted[-1] else None
        return Histogram(tuple(self._bins.tolist()), round_ticks(int(self._bins.max())), median)


def round_ticks(largest: int) -> tuple[int, ...]:
    """Round whole numbers from 0 to at least `largest`, at most six of them."""
    least = max(largest, 1) / 5
    magnitude = 10 ** math.floor(math.log10(least)) if least >= 1 else 1
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= least)
    return tuple(step * i for i in range(math.ceil(max(largest, 1) / step) + 1))
