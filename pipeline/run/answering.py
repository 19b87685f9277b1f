"""A probe's answers for a whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.representations import EmbeddingBatch, Embeddings
from pipeline.representations.gathering import Best
from pipeline.representations.probe import Probe, probabilities
from pipeline.run.scores import write_scores

ANSWERS = "answers.parquet"


@dataclass
class Answers:
    """What a page shows of a probe's answers.

    Attributes
    ----------
    surest
        The galaxies that are most probably of each class.
    doubtful
        Those whose two most probable classes are nearest to each other.
    sums : ndarray, shape (classes,)
        How many galaxies of each class the probabilities add up to.
    """

    surest: list[Best]
    doubtful: Best
    sums: NDArray[np.float64]


def answer(embeddings: Embeddings, probe: Probe, output: str, shown: int) -> tuple[int, str, Answers]:
    """Write a probe's answers for the whole catalogue: how many, where, and those to show."""
    answers = Answers([Best(shown) for _ in probe.classes], Best(shown), np.zeros(len(probe.classes)))

    def score(batch: EmbeddingBatch) -> NDArray[np.float32]:
        shares = probabilities(probe, batch.vectors)
        for keep, share in zip(answers.surest, shares.T, strict=True):
            keep.add(batch, share)
        two = np.partition(shares, -2, axis=1)[:, -2:]
        answers.doubtful.add(batch, two[:, 0] - two[:, 1])
        answers.sums += shares.sum(axis=0, dtype=np.float64)
        return shares[:, 1] if probe.is_yes_or_no else shares

    names = [probe.column]
    if not probe.is_yes_or_no:
        names = [f"{probe.column}_{name}" for name in probe.classes]
    uri = storage.join(output, ANSWERS)
    return write_scores(uri, embeddings, names, score), uri, answers
