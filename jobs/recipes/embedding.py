"""Embeddings for weights that have none: ``python -m jobs.recipes.embedding WEIGHTS PICTURES [TREE]``.

PICTURES is a folder of galaxies of the kind that the network knows, in frames like Galaxy Zoo's; 3,000 of
them, evenly chosen, are looked at. ``<weights>.embedding.safetensors`` is written beside WEIGHTS.
`train` does the same at its end, with the galaxies that it trained on.
"""

from __future__ import annotations

import sys

import numpy as np

from pipeline import storage
from pipeline.errors import InputError
from pipeline.network import load_network
from pipeline.training.labels import Labels
from pipeline.training.projection import FEWEST_GALAXIES, keep_projection
from pipeline.tree import DecisionTree, load_tree

_SUFFIXES = (".jpg", ".jpeg", ".png")


def main() -> None:
    """Learn the projection of weights, and write it beside them."""
    weights, folder = map(storage.absolute, sys.argv[1:3])
    tree = load_tree(*sys.argv[3:])
    network, _ = load_network(weights, tree)
    keep_projection(weights, network, pictures_in(folder, tree))


def pictures_in(folder: str, tree: DecisionTree) -> Labels:
    """Pictures of a folder as galaxies without votes.

    Raises
    ------
    InputError
        If there are too few.
    """
    images = sorted(file.uri for suffix in _SUFFIXES for file in storage.list_files(folder, suffix))
    if len(images) < FEWEST_GALAXIES:
        raise InputError(
            f"{folder} holds {len(images)} pictures ({', '.join(_SUFFIXES)}); expected at least "
            f"{FEWEST_GALAXIES}, from which embeddings can be learnt"
        )
    return Labels(
        ids=tuple(storage.name(image).rpartition(".")[0] for image in images),
        images=tuple(images),
        frames=np.full(len(images), np.nan),
        votes=np.full((len(images), tree.answer_count), np.nan, np.float32),
        weights=np.ones(len(images), np.float32),
    )


if __name__ == "__main__":
    main()
