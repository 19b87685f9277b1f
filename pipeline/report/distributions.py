"""Distributions over a whole catalogue: classes, mean answers, agreement and confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.report.reading import Reading, probability_batches, require_columns
from pipeline.tree import DecisionTree

BINS = 20


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


def class_counts(tree: DecisionTree, reading: Reading) -> tuple[int, ...]:
    """Galaxies of each class in the tree's order; the last count is of those without a class."""
    return tuple(np.bincount(reading.classes, minlength=len(tree.classes) + 1).tolist())


def mean_answers(tree: DecisionTree, catalogue: pa.Table) -> dict[str, MeanAnswers]:
    """How the votes divide on each question, by question key."""
    total = np.zeros(tree.answer_count)
    for p in probability_batches(tree, catalogue):
        total += np.nan_to_num(p).sum(axis=0)
    found: dict[str, MeanAnswers] = {}
    for question in tree.questions:
        votes = total[tree.slices[question.key]]
        asked = float(votes.sum())
        shares = tuple((votes / asked).tolist()) if asked > 0 else ()
        found[question.key] = MeanAnswers(asked / max(len(catalogue), 1), shares)
    return found


def agreement_histogram(tree: DecisionTree, catalogue: pa.Table) -> Histogram:
    """Histogram of the agreement in the tree's first question; rows without one are left out."""
    name = f"{tree.questions[0].key}_agreement"
    require_columns(catalogue, [name], "the catalogue")
    return histogram(catalogue[name].drop_null().to_numpy().astype(np.float64))


def histogram(values: NDArray[np.float64]) -> Histogram:
    """Count values in [0, 1].

    Parameters
    ----------
    values : ndarray, shape (n,), float64
        NaN is left out.
    """
    known = values[~np.isnan(values)]
    counts, _ = np.histogram(known, bins=BINS, range=(0.0, 1.0))
    median = float(np.median(known)) if len(known) else None
    return Histogram(tuple(counts.tolist()), round_ticks(int(counts.max())), median)


def round_ticks(largest: int) -> tuple[int, ...]:
    """Round whole numbers from 0 to at least `largest`, at most six of them."""
    least = max(largest, 1) / 5
    magnitude = 10 ** math.floor(math.log10(least)) if least >= 1 else 1
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= least)
    return tuple(step * i for i in range(math.ceil(max(largest, 1) / step) + 1))
