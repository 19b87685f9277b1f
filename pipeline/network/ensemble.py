"""What classifies: one weight file, or an ensemble of several."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.network.checkpoint import Card, check_weights, load_network, read_json
from pipeline.network.viewpoint_network import ViewpointNetwork
from pipeline.tree import DecisionTree

ENSEMBLE_SUFFIX = ".ensemble.json"


class Ensemble(StrictModel):
    """Weight files whose answers are averaged: ``NAME.ensemble.json`` beside them.

    Attributes
    ----------
    members
        File name of each member's weights and their sha256.
    """

    name: str
    members: dict[str, str]


@dataclass(frozen=True)
class Model:
    """What classifies, a network or an ensemble, as its cards describe it; the weights stay in their files.

    Attributes
    ----------
    name
        The network's or the ensemble's.
    sha256
        Digest of the weight file, or of all of an ensemble's together.
    cards
        The card of each network.
    """

    name: str
    sha256: str
    cards: tuple[Card, ...]

    @property
    def title(self) -> str:
        """What people call it, such as ``compact 1``: the name and version that its card says."""
        if len(self.cards) > 1:
            return self.name
        card = self.cards[0]
        return f"{card.name or self.name} {card.version}".strip()

    @property
    def recentrings(self) -> tuple[float, ...]:
        """The detection thresholds by which any of the networks wants galaxies recentred, each once.

        A network that takes galaxies as they are adds none.
        """
        distinct = {card.network.recentring for card in self.cards}
        return tuple(sorted(recentring.threshold for recentring in distinct if recentring is not None))

    @property
    def not_good_for(self) -> tuple[str, ...]:
        """Known limits of any of the networks, each once."""
        return tuple(dict.fromkeys(limit for card in self.cards for limit in card.not_good_for))


def check_model(weights: str, tree: DecisionTree) -> Model:
    """What a weights URI names, once every file is found to be what its card says and to answer `tree`.

    Parameters
    ----------
    weights
        URI of a .safetensors file, or of an ensemble.

    Raises
    ------
    InputError
        If a file is absent, damaged, not what its card or the ensemble says, or answers another tree.
    """
    if not weights.endswith(ENSEMBLE_SUFFIX):
        card = check_weights(weights, tree)
        return Model(card.network.name, card.sha256, (card,))
    ensemble = _read(weights)
    cards = [check_weights(uri, tree) for uri in _members(weights, ensemble)]
    for (file, expected), card in zip(ensemble.members.items(), cards, strict=True):
        if card.sha256 != expected:
            raise InputError(
                f"{weights}: member {file} has sha256 {card.sha256[:12]}…, expected {expected[:12]}…; "
                "it was trained anew: make the ensemble again"
            )
    digest = hashlib.sha256("".join(sorted(card.sha256 for card in cards)).encode()).hexdigest()
    return Model(ensemble.name, digest, tuple(cards))


def load_networks(weights: str, tree: DecisionTree) -> list[ViewpointNetwork]:
    """The networks that a weights URI names, for evaluation, in float32.

    Raises
    ------
    InputError
        As `load_network`, or if the ensemble can't be read.
    """
    return [load_network(file, tree)[0] for file in weight_files(weights)]


def weight_files(weights: str) -> list[str]:
    """URIs of the weight files that a weights URI names: itself, or the members of an ensemble.

    Raises
    ------
    InputError
        If the ensemble can't be read.
    """
    return _members(weights, _read(weights)) if weights.endswith(ENSEMBLE_SUFFIX) else [weights]


def member_weights(weights: str, member: str | None = None) -> str:
    """URI of one network's weights: the only one, or of an ensemble the first or the one of that file name.

    Raises
    ------
    InputError
        If there is no file of that name (without ``.safetensors``), or the ensemble can't be read.
    """
    files = weight_files(weights)
    if member is None:
        return files[0]
    names = [PurePosixPath(file).stem for file in files]
    if member not in names:
        raise InputError(f"{weights} holds no network {member!r}; expected one of {', '.join(names)}")
    return files[names.index(member)]


def by_recentring(networks: Sequence[ViewpointNetwork]) -> dict[float | None, list[ViewpointNetwork]]:
    """The networks in groups that see galaxies in the same frame.

    The key of a group is the detection threshold by which its galaxies are recentred; None where they are
    seen in the frame that the survey gives.
    """
    groups: dict[float | None, list[ViewpointNetwork]] = {}
    for network in networks:
        recentring = network.spec.recentring
        groups.setdefault(None if recentring is None else recentring.threshold, []).append(network)
    return groups


def save_ensemble(uri: str, ensemble: Ensemble) -> None:
    """Write the file of an ensemble, which names its members."""
    storage.write_bytes(uri, (json.dumps(ensemble.model_dump(), indent=1) + "\n").encode())


def _read(uri: str) -> Ensemble:
    ensemble = read_json(Ensemble, uri, "an ensemble")
    if not ensemble.members:
        raise InputError(f"{uri} has no members; expected at least one weight file")
    return ensemble


def _members(uri: str, ensemble: Ensemble) -> list[str]:
    folder = uri.rpartition("/")[0]
    return [storage.join(folder, file) for file in ensemble.members]
