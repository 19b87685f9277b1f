"""Weight files: safetensors, with a JSON card beside them that says what they are."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from pipeline import storage
from pipeline.config import CONFIGS, StrictModel, validate
from pipeline.errors import InputError
from pipeline.network.spec import NetworkSpec
from pipeline.network.viewpoint_network import ViewpointNetwork
from pipeline.tree import DecisionTree

DEFAULT_WEIGHTS = str(CONFIGS / "weights" / "compact.safetensors")
"""The weights that come with the project."""


Document = TypeVar("Document", bound=StrictModel)


class Card(StrictModel):
    """What a weight file is.

    Attributes
    ----------
    network
        Its layers.
    tree
        Name of the decision tree it answers.
    columns
        The answers, in the order of the output.
    name, version
        What people call the weights, and which of that name they are; where there is no name, the network's.
    sha256
        Of the weight file.
    data, recipe, score
        What it was trained on, how, and what it scored on which galaxies never trained on.
    not_good_for
        Known limits, one sentence each.
    """

    network: NetworkSpec
    tree: str
    columns: tuple[str, ...]
    name: str = ""
    version: str = ""
    sha256: str = ""
    parameters: int = 0
    data: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    score: dict[str, Any] = Field(default_factory=dict)
    not_good_for: tuple[str, ...] = ()


def card_uri(weights: str) -> str:
    """Where the card of a weight file lies: the same name, ending in .json."""
    return weights.removesuffix(".safetensors") + ".json"


def save_network(
    network: ViewpointNetwork, weights: str, card: Card, dtype: torch.dtype = torch.float16
) -> Card:
    """Write weights and then their card.

    Returns
    -------
    Card
        `card` with the file's hash and parameter count filled in.
    """
    data = save_tensors({key: value.to(dtype).contiguous() for key, value in network.state_dict().items()})
    complete = card.model_copy(
        update={
            "sha256": hashlib.sha256(data).hexdigest(),
            "parameters": sum(p.numel() for p in network.parameters()),
        }
    )
    storage.write_bytes(weights, data)
    write_card(weights, complete)
    return complete


def write_card(weights: str, card: Card) -> None:
    """Write the card of a weight file."""
    text = json.dumps(card.model_dump(mode="json"), indent=1) + "\n"
    storage.write_bytes(card_uri(weights), text.encode())


def read_card(weights: str) -> Card:
    """The card of a weight file.

    Raises
    ------
    InputError
        If it or the weight file is absent, or it is not a card.
    """
    if not storage.exists(card_uri(weights)):
        if storage.exists(weights):
            raise InputError(f"{weights} lacks its card, {card_uri(weights)}; fetch it, too")
        raise InputError(
            f"there are no weights {weights}; name a weight file, or `compact`, which comes along"
        )
    return read_json(Card, card_uri(weights), "a weight file's card")


def read_json(model: type[Document], uri: str, what: str) -> Document:
    """A JSON file as the model of what it is.

    Raises
    ------
    InputError
        If it is absent or something else.
    """
    try:
        values = json.loads(storage.read_bytes(uri))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{uri} is not {what}: {error}; fetch it again") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{uri} is not {what}: it holds {type(values).__name__}; expected a JSON object: fetch it again"
        )
    return validate(model, values, uri)


def check_weights(weights: str, tree: DecisionTree) -> Card:
    """The card of a weight file, once the file is found to be what the card says and to answer `tree`.

    Raises
    ------
    InputError
        If a file is absent, damaged, not what its card says, or answers another tree.
    """
    card = _read_checked(weights)[1]
    _check_tree(weights, card, tree)
    return card


def load_network(weights: str, tree: DecisionTree) -> tuple[ViewpointNetwork, Card]:
    """Read a network for evaluation, in float32.

    Parameters
    ----------
    weights
        URI of a .safetensors file with its card beside it.
    tree
        The decision tree that the caller's catalogue has; it must be the weights' own.

    Raises
    ------
    InputError
        As `check_weights`, or if the file doesn't hold the card's network.
    """
    tensors, card = read_weights(weights)
    _check_tree(weights, card, tree)
    network = ViewpointNetwork(card.network, tree)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{weights} doesn't hold network {card.network.name!r}: {reason}") from error
    return network.eval().requires_grad_(False), card


def read_weights(weights: str) -> tuple[dict[str, Tensor], Card]:
    """The tensors of a weight file, as they are stored, and its card.

    Raises
    ------
    InputError
        If a file is absent, damaged, or not what its card says.
    """
    data, card = _read_checked(weights)
    try:
        return load_tensors(data), card
    except SafetensorError as error:
        raise InputError(f"{weights} doesn't hold network {card.network.name!r}: {error}") from error


def _read_checked(weights: str) -> tuple[bytes, Card]:
    card = read_card(weights)
    return read_bytes_of(weights, card.sha256), card


def read_bytes_of(weights: str, sha256: str) -> bytes:
    """A weight file, once its digest is found to be what its card says.

    Raises
    ------
    InputError
        If it can't be read, or is another.
    """
    data = storage.read_bytes(weights)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{weights} has sha256 {digest[:12]}…, its card says {sha256[:12]}…; "
            "the file is damaged or belongs to another card: fetch both again"
        )
    return data


def _check_tree(weights: str, card: Card, tree: DecisionTree) -> None:
    if card.columns != tree.columns:
        raise InputError(
            f"{weights} answers tree {card.tree!r} ({len(card.columns)} answers), not {tree.name!r} "
            f"({tree.answer_count}); name the tree that it was trained for"
        )
