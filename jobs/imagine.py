"""Imagine: galaxies with asked-for vote fractions, made by a network, as a cutout set with labels."""

from __future__ import annotations

import sys

import torch
from pydantic import Field

from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.generation.asking import asked_votes, parse_votes
from pipeline.generation.imagined import LABELS, Request, existing, imagine
from pipeline.generation.weights import load_generator
from pipeline.places import Output, TreeFile, WeightsFile
from pipeline.tree import GALAXY_ZOO_2, load_tree


class ImagineConfig(StrictModel):
    """What `tuningfork imagine` takes.

    Attributes
    ----------
    weights
        A generator's weight file, as `python -m jobs.recipes.generation` makes it.
    votes
        Fractions of all volunteers to ask for, ``ANSWER=FRACTION,…``; answers are named as in the catalogue.
    output
        Folder or prefix for the cutout set (any fsspec URI).
    count
        Galaxies to make.
    seed
        Of what they are made of; another one gives other galaxies.
    guidance
        How strongly what is asked for shows: 1 as in real galaxies, above 1 more, with less variety.
    steps
        From noise to picture; fewer are faster and coarser.
    tree
        The decision tree whose answers are asked for.
    """

    weights: WeightsFile
    votes: str
    output: Output = Field(min_length=1)
    count: int = Field(default=100, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    guidance: float = Field(default=2.0, ge=0, le=20)
    steps: int = Field(default=40, ge=1, le=1000)
    tree: TreeFile = str(GALAXY_ZOO_2)


def run(config: ImagineConfig) -> None:
    """Make the galaxies; run again, it makes those that are missing.

    Raises
    ------
    InputError
        If the votes or the weights can't be used, diffusers isn't there, or the output holds something else.
    """
    tree = load_tree(config.tree)
    asked = parse_votes(config.votes, tree)
    votes = asked_votes(asked, tree)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator, card = load_generator(config.weights, tree, device)
    request = Request(
        weights=card.sha256,
        tree=tree.name,
        votes=asked,
        **config.model_dump(include={"count", "seed", "guidance", "steps"}),
    )
    for name, most in card.unseen(asked).items():
        note = (
            f"{name}={asked[name]:g} is more than any galaxy has that {config.weights} learnt from, {most:g}"
        )
        print(f"tuningfork: note: {note}", file=sys.stderr)
    result = existing(request, config.output)
    if result is None:
        with progress("Imagining", config.count) as made:
            result = imagine(request, votes, generator, tree, config.output, made)
    say(result.summary)
    if result.created:
        say(f"Synthetic galaxies, not observed; labels in {LABELS}")
