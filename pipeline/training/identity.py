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
    record = storage.join(folder, "run.json")
    return storage.exists(record) and json.loads(storage.read_bytes(record)) == identity


def as_begun(folder: str, recipe: Recipe) -> Recipe:
    """The recipe, in the precision that the folder's training began with where it leaves that open."""
    record = storage.join(folder, "run.json")
    if recipe.precision != "auto" or not storage.exists(record):
        return recipe
    begun = json.loads(storage.read_bytes(record))["recipe"]["precision"]
    return recipe.model_copy(update={"precision": begun})


def claim(folder: str, identity: Mapping[str, Any]) -> None:
    """Bind a folder to what is trained there.

    Raises
    ------
    InputError
        If it holds another training.
    """
    record = storage.join(folder, "run.json")
    if storage.create(record, (json.dumps(identity, indent=1) + "\n").encode()) or is_same(folder, identity):
        return
    earlier = json.loads(storage.read_bytes(record))
    changed = ", ".join(key for key in identity if earlier.get(key) != identity[key])
    raise InputError(f"{folder} holds a training with other {changed}; name another output or remove it")
