"""A probe: a linear map from embeddings to the probabilities of a user's own classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.embedding import NUMBERS
from pipeline.config import StrictModel, parse_yaml, validate
from pipeline.errors import InputError
from pipeline.representations.gathering import decoded
from pipeline.representations.labels import YES_OR_NO
from pipeline.representations.reading import Embeddings

PROBE_FILE = "probe.json"
VERSION = 1
"""Raise it when a probe's numbers come to mean something else."""


class Score(StrictModel):
    """How well a probe answers for galaxies that it didn't learn from, by cross-validation.

    Attributes
    ----------
    accuracy
        Share of galaxies whose most probable class is their own.
    auroc
        Area under the ROC curve; of more than two classes the mean over them, each against the others.
    cross_entropy
        In nats.
    """

    accuracy: float
    auroc: float
    cross_entropy: float


class Probe(StrictModel):
    """What `fit_probe` learns; ``probe.json``.

    Attributes
    ----------
    column
        Name of the labels.
    classes
        Names of the classes.
    labels
        How many labels it was learnt from.
    weights_sha256, projection_sha256
        Of the network and of the projection whose embeddings it takes.
    regularisation
        Inverse strength of the penalty on the coefficients (scikit-learn's ``C``), by cross-validation.
    temperature
        What the logits were divided by to make probabilities calibrated; 1 where labels were too few.
    score
        On galaxies held out.
    coefficients
        64 numbers a class.
    intercepts
        One number a class.
    """

    version: int = VERSION
    column: str
    classes: tuple[str, ...]
    labels: int
    weights_sha256: str
    projection_sha256: str
    regularisation: float
    temperature: float
    score: Score
    coefficients: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]

    @property
    def is_yes_or_no(self) -> bool:
        """Whether its one answer is the probability of yes."""
        return self.classes == YES_OR_NO

    def check(self, embeddings: Embeddings, uri: str) -> None:
        """Make sure that it fits a catalogue's embeddings.

        Raises
        ------
        InputError
            If they are another network's, or another projection's.
        """
        for kind, own, other in (
            ("weights", self.weights_sha256, embeddings.weights),
            ("projection", self.projection_sha256, embeddings.projection),
        ):
            if own != other:
                raise InputError(
                    f"{uri} was learnt from embeddings of {kind} {own[:12]}…, and those of {embeddings.uri} "
                    f"are of {other[:12]}…; fit it again to this catalogue, with the same labels"
                )


@dataclass(frozen=True)
class Linear:
    """Logits of n galaxies are ``vectors @ coefficients.T + intercepts``.

    `coefficients` is of shape (classes, 64), `intercepts` of (classes,).
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def logits(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of decoded vectors (n, 64): shape (n, classes)."""
        logits: NDArray[np.float64] = vectors @ self.coefficients.T + self.intercepts
        return logits


def probabilities(probe: Probe, vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    """The probability of each class, shape (n, classes), of galaxies by their embeddings."""
    linear = Linear(np.array(probe.coefficients, np.float32), np.array(probe.intercepts, np.float32))
    return softmax(linear.logits(decoded(vectors))).astype(np.float32)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probabilities, shape (n, classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.floating] = powers / powers.sum(axis=1, keepdims=True)
    return result


def write_probe(folder: str, probe: Probe) -> str:
    """Write ``probe.json``; its URI."""
    uri = storage.join(folder, PROBE_FILE)
    storage.write_bytes(uri, (probe.model_dump_json(indent=1) + "\n").encode())
    return uri


def read_probe(place: str) -> tuple[Probe, str]:
    """A probe and its URI, by the folder that `tuningfork fit` wrote, or by the file.

    Raises
    ------
    InputError
        If there is none, or it can't be read.
    """
    uri = place if place.endswith(".json") else storage.join(place, PROBE_FILE)
    if not storage.exists(uri):
        raise InputError(f"there is no {uri}; name a folder that `tuningfork fit` wrote")
    probe = validate(Probe, parse_yaml(storage.read_bytes(uri), uri), uri)
    widths = {len(row) for row in probe.coefficients}
    if (
        probe.version != VERSION
        or widths != {NUMBERS}
        or not len(probe.coefficients) == len(probe.intercepts) == len(probe.classes)
    ):
        raise InputError(
            f"{uri} is of version {probe.version} with {len(probe.coefficients)} rows of coefficients; "
            f"expected version {VERSION} with {NUMBERS} numbers for each class: fit it again"
        )
    return probe, uri
