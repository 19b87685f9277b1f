"""Probes by logistic regression, and how well they answer for galaxies held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold

from pipeline.representations.gathering import decoded
from pipeline.representations.labels import Labels
from pipeline.representations.probe import Linear, Probe, Score, softmax
from pipeline.representations.reading import Embeddings

CALIBRATED_FROM = 100
"""Labels from which on the sharpness of the probabilities is set by galaxies held out."""

COUNTS = (20, 50, 100, 200, 300, 500, 1000, 2000)
"""Labels at which the curve is drawn, as far as there are that many."""

_STRENGTHS = tuple(10.0**power for power in (-4, -3, -2, -1, 0))
_FOLDS = 5
_FOLDS_WITHIN = 3
_DRAWS = 5
_PROBABLE = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """The score of probes that learnt from so many labels: mean and standard deviation over several draws."""

    labels: int
    accuracy: float
    accuracy_spread: float
    auroc: float
    auroc_spread: float


@dataclass(frozen=True)
class HeldOut:
    """What is said of each labelled galaxy by a probe that didn't learn from it.

    `targets` and `probabilities` are of shape (n, classes).
    """

    targets: Floats
    probabilities: Floats
    curve: tuple[Point, ...]

    @property
    def score(self) -> Score:
        """How well they agree."""
        return score(self.targets, self.probabilities)

    def roc(self, index: int) -> tuple[Floats, Floats]:
        """The ROC curve of a class against the others: false and true positive rates."""
        false, true, _ = roc_curve(self.targets.argmax(axis=1) == index, self.probabilities[:, index])
        return false, true


def score(targets: Floats, shares: Floats) -> Score:
    """How well probabilities agree with labels; both of shape (n, classes)."""
    own = targets.argmax(axis=1)
    present = [index for index in range(targets.shape[1]) if 0 < (own == index).sum() < len(own)]
    areas = [roc_auc_score(own == index, shares[:, index]) for index in present]
    return Score(
        accuracy=round(float((shares.argmax(axis=1) == own).mean()), 4),
        auroc=round(float(np.mean(areas)), 4) if areas else float("nan"),
        cross_entropy=round(cross_entropy(targets, shares), 4),
    )


def cross_entropy(targets: Floats, shares: Floats) -> float:
    """Mean over galaxies, in nats."""
    return float(-(targets * np.log(np.maximum(shares, _PROBABLE))).sum(axis=1).mean())


def fit_probe(
    vectors: NDArray[np.int8], labels: Labels, embeddings: Embeddings, seed: int = 0
) -> tuple[Probe, HeldOut]:
    """Learn a probe from some galaxies' embeddings (n, 64), in the order of their labels."""
    values = decoded(vectors).astype(np.float64)
    linear, strength, temperature, held_out = learn(values, labels.targets, seed)
    probe = Probe(
        column=labels.column,
        classes=labels.classes,
        labels=len(labels),
        weights_sha256=embeddings.weights,
        projection_sha256=embeddings.projection,
        regularisation=strength,
        temperature=round(temperature, 4),
        score=held_out.score,
        coefficients=tuple(map(tuple, np.round(linear.coefficients / temperature, 6).tolist())),
        intercepts=tuple(np.round(linear.intercepts / temperature, 6).tolist()),
    )
    return probe, held_out


def learn(values: Floats, targets: Floats, seed: int) -> tuple[Linear, float, float, HeldOut]:
    """The map that all labels give, its regularisation and temperature, and answers for galaxies held out.

    Each fold of the galaxies is answered by a map for which regularisation, too, was chosen without it.
    """
    logits = np.zeros(targets.shape)
    for learnt, judged in _folds(targets, _FOLDS, seed):
        strength = best_strength(values[learnt], targets[learnt], seed)
        logits[judged] = regression(values[learnt], targets[learnt], strength).logits(values[judged])
    temperature = _temperature(logits, targets) if len(targets) >= CALIBRATED_FROM else 1.0
    strength = best_strength(values, targets, seed)
    held_out = HeldOut(
        targets, np.asarray(softmax(logits / temperature), np.float64), tuple(curve(values, targets, seed))
    )
    return regression(values, targets, strength), strength, temperature, held_out


def best_strength(values: Floats, targets: Floats, seed: int) -> float:
    """The regularisation whose answers for galaxies held out have the least cross entropy."""
    if _fewest(targets) < 2:
        return 0.01
    folds = list(_folds(targets, _FOLDS_WITHIN, seed))
    losses = [
        sum(
            cross_entropy(
                targets[judged],
                np.asarray(
                    softmax(regression(values[learnt], targets[learnt], strength).logits(values[judged]))
                ),
            )
            for learnt, judged in folds
        )
        for strength in _STRENGTHS
    ]
    return _STRENGTHS[int(np.argmin(losses))]


def regression(values: Floats, targets: Floats, strength: float) -> Linear:
    """Logistic regression on shares of classes: each galaxy counts for a class by its share."""
    rows, classes = np.nonzero(targets)
    model = LogisticRegression(C=strength, max_iter=500)
    model.fit(values[rows], classes, sample_weight=targets[rows, classes])
    count, own = targets.shape[1], model.classes_
    coefficients, intercepts = np.zeros((count, values.shape[1])), np.full(count, -20.0)
    if len(own) == 2:
        # One row of logits between two classes.
        intercepts[own] = 0.0
        coefficients[own[1]], intercepts[own[1]] = model.coef_[0], model.intercept_[0]
    else:
        coefficients[own], intercepts[own] = model.coef_, model.intercept_
    return Linear(coefficients, intercepts)


def curve(values: Floats, targets: Floats, seed: int) -> Iterator[Point]:
    """The score by number of labels, each on the labelled galaxies that it leaves over."""
    rng = np.random.default_rng(seed)
    for count in COUNTS:
        if count > 0.8 * len(targets):
            return
        scores = [_score_from(values, targets, count, rng) for _ in range(_DRAWS)]
        kept = [each for each in scores if each is not None and np.isfinite(each.auroc)]
        if kept:
            accuracies, areas = [each.accuracy for each in kept], [each.auroc for each in kept]
            yield Point(
                count,
                float(np.mean(accuracies)),
                float(np.std(accuracies)),
                float(np.mean(areas)),
                float(np.std(areas)),
            )


def _score_from(values: Floats, targets: Floats, count: int, rng: np.random.Generator) -> Score | None:
    order = rng.permutation(len(targets))
    learnt, judged = order[:count], order[count:]
    if len(np.unique(targets[learnt].argmax(axis=1))) < 2:
        return None
    strength = best_strength(values[learnt], targets[learnt], 0)
    linear = regression(values[learnt], targets[learnt], strength)
    return score(targets[judged], np.asarray(softmax(linear.logits(values[judged])), np.float64))


def _fewest(targets: Floats) -> int:
    counts = np.bincount(targets.argmax(axis=1), minlength=targets.shape[1])
    return int(counts[counts > 0].min())


def _folds(
    targets: Floats, max_folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to learn from and rows to judge, each class spread over the folds."""
    own = targets.argmax(axis=1)
    splitter = StratifiedKFold(max(2, min(max_folds, _fewest(targets))), shuffle=True, random_state=seed)
    yield from splitter.split(own[:, None], own)


def _temperature(logits: Floats, targets: Floats) -> float:
    """What logits are divided by for the least cross entropy (Guo et al. 2017)."""

    def loss(power: float) -> float:
        return cross_entropy(targets, np.asarray(softmax(logits * np.exp(-power)), np.float64))

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))
