"""Weights of a generator: safetensors, with a card beside them that says what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.generation.generator import Generator, GeneratorSpec
from pipeline.network.checkpoint import card_uri, read_bytes_of, read_json
from pipeline.network.layers import lay_channels_last
from pipeline.tree import DecisionTree

MOST_PARAMETERS = 5_500_000
"""Of a generator that comes along: 11 MB."""


class GeneratorCard(StrictModel):
    """What the weights of a generator are.

    Attributes
    ----------
    network
        What it is built of.
    tree
        Name of the decision tree by whose answers it is asked.
    columns
        The answers, in their order.
    largest
        Of each answer, the largest fraction that a galaxy it was trained on has.
    sha256
        Of the weight file.
    data, recipe, score
        What it was trained on, how, and how well it does on which galaxies never trained on.
    not_good_for
        Known limits, one sentence each.
    """

    network: GeneratorSpec
    tree: str
    columns: tuple[str, ...]
    largest: tuple[float, ...] = ()
    sha256: str = ""
    parameters: int = 0
    data: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    score: dict[str, Any] = Field(default_factory=dict)
    not_good_for: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_asked_by_its_columns(self) -> GeneratorCard:
        if self.network.answers != len(self.columns):
            raise ValueError(
                f"the network is asked by {self.network.answers} answers, and there are {len(self.columns)} "
                "columns; expected as many"
            )
        return self

    def unseen(self, asked: Mapping[str, float]) -> dict[str, float]:
        """Of answers of which more is asked than it has ever seen, the most that it has."""
        known = dict(zip(self.columns, self.largest, strict=False))
        return {name: known[name] for name, fraction in asked.items() if fraction > known.get(name, 1.0)}


def save_generator(generator: Generator, weights: str, card: GeneratorCard) -> GeneratorCard:
    """Write weights and then their card, which is returned with the file's hash and parameter count."""
    data = save_tensors({key: value.half().contiguous() for key, value in generator.state_dict().items()})
    complete = card.model_copy(
        update={
            "sha256": hashlib.sha256(data).hexdigest(),
            "parameters": sum(part.numel() for part in generator.parameters()),
        }
    )
    storage.write_bytes(weights, data)
    text = json.dumps(complete.model_dump(mode="json"), indent=1) + "\n"
    storage.write_bytes(card_uri(weights), text.encode())
    return complete


def load_generator(
    weights: str, tree: DecisionTree, device: str | torch.device = "cpu"
) -> tuple[Generator, GeneratorCard]:
    """Read a generator, in float32.

    Raises
    ------
    InputError
        If a file is absent, damaged or of another kind, it is asked by the answers of another tree, or
        diffusers isn't there.
    """
    if not storage.exists(weights):
        raise InputError(
            f"there are no weights {weights}; name a generator's, which `python -m jobs.recipes.generation` "
            "trains"
        )
    card = read_json(GeneratorCard, card_uri(weights), "the card of a generator")
    data = read_bytes_of(weights, card.sha256)
    if card.columns != tree.columns:
        raise InputError(
            f"{weights} is asked by tree {card.tree!r} ({len(card.columns)} answers), not {tree.name!r} "
            f"({tree.answer_count}); name the tree that it was trained for"
        )
    generator = Generator(card.network)
    try:
        generator.load_state_dict(load_tensors(data))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{weights} doesn't hold a generator: {reason}") from error
    lay_channels_last(generator)
    return generator.eval().requires_grad_(False).to(device), card
