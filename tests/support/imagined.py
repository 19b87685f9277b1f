"""A generator in small, for tests; it is trained on nothing."""

from __future__ import annotations

import torch

from pipeline.generation.generator import Generator, GeneratorSpec
from pipeline.generation.weights import GeneratorCard, save_generator
from pipeline.tree import load_tree

SMALL = GeneratorSpec(
    answers=37, channels=(8, 16), attention=(False, True), layers=1, groups=4, head=8, dropout=0.0
)


def small_generator(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    return Generator(SMALL)


def write_generator(weights: str, seed: int = 0) -> GeneratorCard:
    tree = load_tree()
    card = GeneratorCard(network=SMALL, tree=tree.name, columns=tree.columns, largest=(0.85,) * 37)
    return save_generator(small_generator(seed), weights, card)
