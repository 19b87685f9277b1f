"""Weights of a detector: safetensors, with a card beside them that says what they are."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pipeline import storage
from pipeline.clumps.detector import CentreDetector
from pipeline.clumps.faster_rcnn import FasterDetector
from pipeline.config import CONFIGS, StrictModel
from pipeline.errors import InputError
from pipeline.network.checkpoint import card_uri, read_bytes_of, read_json
from pipeline.network.layers import lay_channels_last

TrainedDetector = CentreDetector | FasterDetector
"""A detector of either kind."""

Kind = Literal["centres", "faster_rcnn"]

_KINDS: dict[Kind, type[TrainedDetector]] = {"centres": CentreDetector, "faster_rcnn": FasterDetector}

CLUMPS = str(CONFIGS / "weights" / "clumps.safetensors")
"""The detector that comes with the project."""


class DetectorCard(StrictModel):
    """What the weights of a detector are.

    Attributes
    ----------
    kind
        ``centres``: peaks of a map of centres; ``faster_rcnn``: boxes of Faster R-CNN, by torchvision.
    sha256
        Of the weight file.
    threshold
        Probability from which on a clump is listed.
    backbone
        sha256 of the network whose convolutions it began with; empty if they began at random.
    data, recipe, score
        What it was trained on, how, and how complete and pure its clumps are in which galaxies never trained
        on. ``score["bins"]`` has ``least``, ``most``, ``completeness`` and ``purity`` by flux ratio.
    not_good_for
        Known limits, one sentence each.
    """

    kind: Kind = "centres"
    sha256: str = ""
    parameters: int = 0
    threshold: float = Field(gt=0, lt=1)
    backbone: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    score: dict[str, Any] = Field(default_factory=dict)
    not_good_for: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What decides which clumps are found, for the fingerprint of a run."""
        return f"{self.sha256} {self.threshold:g}"


def save_detector(detector: TrainedDetector, weights: str, card: DetectorCard) -> DetectorCard:
    """Write weights and then their card, which is returned with the file's hash and parameter count."""
    data = save_tensors({key: value.half().contiguous() for key, value in detector.state_dict().items()})
    complete = card.model_copy(
        update={
            "sha256": hashlib.sha256(data).hexdigest(),
            "parameters": sum(part.numel() for part in detector.parameters()),
        }
    )
    storage.write_bytes(weights, data)
    text = json.dumps(complete.model_dump(mode="json"), indent=1) + "\n"
    storage.write_bytes(card_uri(weights), text.encode())
    return complete


def read_detector_card(weights: str) -> DetectorCard:
    """The card of a detector, once the weight file is found to be the card's.

    Raises
    ------
    InputError
        If a file is absent, damaged, or of another kind.
    """
    return _read_checked(weights)[1]


def new_detector(kind: Kind) -> TrainedDetector:
    """A detector that is yet to be trained.

    Raises
    ------
    InputError
        If its kind needs torchvision, which isn't there.
    """
    return _KINDS[kind]()


def load_detector(weights: str, device: str | torch.device = "cpu") -> tuple[TrainedDetector, DetectorCard]:
    """Read a detector for evaluation, in float32.

    Raises
    ------
    InputError
        As `read_detector_card` and `new_detector`, or if the file doesn't hold a detector.
    """
    data, card = _read_checked(weights)
    detector = new_detector(card.kind)
    try:
        detector.load_state_dict(load_tensors(data))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{weights} doesn't hold a detector of clumps: {reason}") from error
    lay_channels_last(detector)
    return detector.eval().requires_grad_(False).to(device), card


def _read_checked(weights: str) -> tuple[bytes, DetectorCard]:
    if not storage.exists(weights):
        raise InputError(f"there are no weights {weights}; name a detector's, or leave clump_weights out")
    card = read_json(DetectorCard, card_uri(weights), "the card of a detector of clumps")
    return read_bytes_of(weights, card.sha256), card
