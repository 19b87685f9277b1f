"""The file beside weights that says how sure their answers are: ``<weights>.confidence.json``."""

from __future__ import annotations

import hashlib

from pydantic import Field

from pipeline import storage
from pipeline.confidence.concentration import Concentrations
from pipeline.confidence.familiarity import Familiarity
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.network import ENSEMBLE_SUFFIX, Model
from pipeline.network.checkpoint import read_json

_SUFFIX = ".confidence.json"

_BESIDE_FILTERS = 9
"""Statistics of a picture that aren't those of a filter (see `pipeline.confidence.appearance`)."""


class Confidence(StrictModel):
    """How sure the answers of a network or an ensemble are, and for which pictures.

    Attributes
    ----------
    model_sha256
        Of the weights that it is for (see `Model`).
    galaxies
        How many, never trained on, it was fitted to.
    coverage
        Share of the votes of each question within the 90 % intervals, for galaxies that neither the network
        nor this was fitted to.
    """

    model_sha256: str
    galaxies: int
    concentrations: Concentrations
    familiarity: Familiarity
    coverage: dict[str, float] = Field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Digest of all of it, for the fingerprint of a run."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def confidence_uri(weights: str) -> str:
    """Where the confidence of a weight file, or of an ensemble, lies."""
    return weights.removesuffix(ENSEMBLE_SUFFIX).removesuffix(".safetensors") + _SUFFIX


def read_confidence(weights: str, model: Model) -> Confidence:
    """The confidence of weights.

    Raises
    ------
    InputError
        If there is none, one of other weights, or one that doesn't fit them.
    """
    uri = confidence_uri(weights)
    if not storage.exists(uri):
        raise InputError(
            f"{weights} can't say how sure it is, for there is no {uri}: leave uncertainty=true out, or "
            "train with at least 200 galaxies held out, from which it is learnt"
        )
    confidence = read_json(Confidence, uri, "the confidence of weights")
    if confidence.model_sha256 != model.sha256:
        raise InputError(
            f"{uri} is of weights {confidence.model_sha256[:12]}…, and {weights} is {model.sha256[:12]}…: "
            "fetch both again, or train anew"
        )
    _check_fit(confidence, model, uri)
    return confidence


def _check_fit(confidence: Confidence, model: Model, uri: str) -> None:
    """Refuse numbers that are too many or too few for the network's answers or its pictures' statistics."""
    card = model.cards[0]
    answers, statistics = len(card.columns), card.network.convolutions[0].filters + _BESIDE_FILTERS
    concentrations, familiarity = confidence.concentrations, confidence.familiarity
    lists = [
        ("concentrations.mean_roots", concentrations.mean_roots, answers),
        *((f"the slopes of {key}", fit.slopes, answers) for key, fit in concentrations.questions.items()),
        ("familiarity.mean", familiarity.mean, statistics),
        ("familiarity.whitening", familiarity.whitening, statistics),
        *(("a row of familiarity.whitening", row, statistics) for row in familiarity.whitening),
    ]
    for name, numbers, expected in lists:
        if len(numbers) != expected:
            raise InputError(
                f"{uri} is damaged: {name} has {len(numbers)} entries, expected {expected}; fetch it again"
            )
    for name in ("usual", "size"):
        if not getattr(familiarity, name) > 0:
            raise InputError(
                f"{uri} is damaged: familiarity.{name} is {getattr(familiarity, name)}, expected a number "
                "above 0; fetch it again"
            )


def write_confidence(weights: str, confidence: Confidence) -> None:
    """Write the confidence of a weight file, or of an ensemble, beside it."""
    storage.write_bytes(confidence_uri(weights), (confidence.model_dump_json() + "\n").encode())
