"""How sure a network's answers are, learnt from galaxies that it wasn't trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pipeline.confidence import (
    Concentrations,
    calibrated,
    fit_concentrations,
    fit_familiarity,
    question_coverage,
)
from pipeline.confidence.appearance import Appearance
from pipeline.confidence.calibration import asked_of
from pipeline.confidence.document import Confidence
from pipeline.network import ViewpointNetwork
from pipeline.training.galaxies import Cut, load_galaxies
from pipeline.training.labels import Labels
from pipeline.training.score import SCORE_REACH
from pipeline.tree import DecisionTree

FEWEST_HELD_OUT = 200
"""Galaxies from which confidence can be learnt."""

_MOST_COMPARED = 3000
_AT_ONCE = 64


def learn_confidence(
    networks: Sequence[ViewpointNetwork],
    model_sha256: str,
    answers: ArrayLike,
    held_out: Labels,
    trained_on: Labels,
) -> Confidence:
    """Learn how sure the mean answers of networks are.

    Parameters
    ----------
    networks, model_sha256
        What answered, and its digest (see `pipeline.network.Model`).
    answers : array_like, shape (n, answers)
        Over 60 transforms, of the galaxies held out.
    held_out
        With their votes; at least `FEWEST_HELD_OUT`.
    trained_on
        Whose pictures, 3,000 of them, are what the networks know.
    """
    tree, first = networks[0].tree, networks[0]
    votes = held_out.votes.astype(np.float64)
    probabilities = np.asarray(answers, np.float64)
    step = max(1, len(trained_on) // _MOST_COMPARED)
    every, others = _appearances(first, trained_on, step), _appearances(first, held_out, 1)
    return Confidence(
        model_sha256=model_sha256,
        galaxies=len(held_out),
        concentrations=concentrations_for(tree, probabilities, votes),
        familiarity=fit_familiarity(every[0].numpy(), every[1].numpy(), others[0].numpy()),
        coverage=crossed_coverage(tree, probabilities, votes),
    )


def concentrations_for(
    tree: DecisionTree, answers: NDArray[np.float64], votes: NDArray[np.float64]
) -> Concentrations:
    """Concentrations by the likelihood of the votes, with intervals that hold as many as they say."""
    return calibrated(tree, fit_concentrations(tree, answers, votes), answers, votes)


def crossed_coverage(
    tree: DecisionTree, answers: NDArray[np.float64], votes: NDArray[np.float64], folds: int = 5
) -> dict[str, float]:
    """Share of each question's votes within 90 % intervals that were learnt from the other galaxies.

    Of galaxies of which at least half of the volunteers were asked the question.
    """
    fold = np.arange(len(votes)) % folds
    covered: dict[str, list[tuple[float, int]]] = {}
    for number in range(folds):
        inside = fold == number
        concentrations = concentrations_for(tree, answers[~inside], votes[~inside])
        for key in concentrations.questions:
            asked = inside & asked_of(tree, key, votes)
            if asked.any():
                share = question_coverage(tree, key, concentrations, answers[asked], votes[asked])
                covered.setdefault(key, []).append((share, int(asked.sum())))
    return {
        key: round(sum(share * count for share, count in parts) / sum(count for _, count in parts), 4)
        for key, parts in covered.items()
    }


def _appearances(network: ViewpointNetwork, labels: Labels, step: int) -> tuple[Tensor, Tensor]:
    """Statistics and sizes of every so manyth picture (see `Appearance`)."""
    appearance = Appearance(network)
    recentring = network.spec.recentring
    galaxies = load_galaxies(
        labels[slice(None, None, step)],
        Cut(SCORE_REACH, None if recentring is None else recentring.threshold),
    )
    parts = [appearance(batch) for _, batch in galaxies.regions.by_side(_AT_ONCE)]
    return torch.cat([statistics for statistics, _ in parts]), torch.cat([size for _, size in parts])
