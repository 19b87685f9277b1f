"""What makes a training this one and no other: its folder is bound to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline import storage
from pipeline.errors import InputError
from pipeline.network import NetworkSpec, read_card
from pipeline.training.labels import Labels
from pipeline.training.recipe import Recipe
from pipeline.tree import DecisionTree


def identity_of(
    spec: NetworkSpec, recipe: Recipe, tree: DecisionTree, labels: Labels, init: str | None
) -> dict[str, Any]:
    """All that makes a training this one and no other, as values that JSON can hold."""
    digest = hashlib.sha256("\n".join(labels.ids).encode())
    for values in (labels.votes, labels.weights, labels.frames):
        digest.update(values.tobytes())
    return {
        "network": spec.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "answers": list(tree.columns),
        "labels": digest.hexdigest(),
        "initial_weights": None if init is None else read_card(init).sha256,
    }


def is_same(folder: str, identity: Mapping[str, Any]) -> bool:
    """Whether a folder is bound to a training."""
    return _begun(folder) == identity


def as_begun(folder: str, recipe: Recipe) -> Recipe:
    """The recipe, in the precision that the folder's training began with where it leaves that open."""
    begun = _begun(folder)
    if recipe.precision != "auto" or begun is None:
        return recipe
    return recipe.model_copy(update={"precision": begun["recipe"]["precision"]})


def claim(folder: str, identity: Mapping[str, Any]) -> None:
    """Bind a folder to what is trained there.

    Raises
    ------
    InputError
        If it holds another training.
    """
    data = (json.dumps(identity, indent=1) + "\n").encode()
    if storage.create(_record(folder), data) or is_same(folder, identity):
        return
    earlier = _begun(folder) or {}
    changed = ", ".join(key for key in identity if earlier.get(key) != identity[key])
    raise InputError(f"{folder} holds a training with other {changed}; name another output or remove it")


def _record(folder: str) -> str:
    return storage.join(folder, "run.json")


def _begun(folder: str) -> dict[str, Any] | None:
    """The identity of the training that a folder is bound to; None if there is none."""
    record = _record(folder)
    if not storage.exists(record):
        return None
    try:
        begun: dict[str, Any] = json.loads(storage.read_bytes(record))
        begun["recipe"]["precision"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{record} doesn't say which training {folder} holds; it is damaged: remove the folder and train "
            "anew, or name another output"
        ) from error
    return begun
