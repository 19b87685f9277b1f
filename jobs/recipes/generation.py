"""Weights of a generator of galaxies: ``python -m jobs.recipes.generation DATA OUT [--epochs 100]``.

DATA holds ``galaxy_zoo_challenge``, of whose galaxies those are taken that the weights learn from; or, with
``--labels TABLE.csv``, it is a folder with a label table as `train` reads it, whose last tenth is held out.
OUT is the weight file, ``NAME.safetensors``. Votes that aren't known are left open. It trains in this
process, on its GPU if there is one. The state is kept in ``OUT.making`` after each epoch, and the same
command goes on from there. Pictures take 0.1 MB of memory each.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from jobs.recipes.tables import voted_galaxies, write_labels
from pipeline import storage
from pipeline.config import validate
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.generation.generator import Generator, GeneratorSpec
from pipeline.generation.pictures import REACH, TrainingSet, kept_pictures
from pipeline.generation.training import GeneratorRecipe, epochs_done, held_out_loss, train_generator
from pipeline.generation.weights import MOST_PARAMETERS, GeneratorCard, save_generator
from pipeline.images import Region
from pipeline.training import Cut, Labels, check_images, read_labels
from pipeline.training.galaxies import load_region
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree

LIMITS = (
    "Pictures show the middle 256 of a frame's 424 pixels, at a quarter of their resolution.",
    "What it makes is not observed: it is of no use where a measurement of the sky is wanted.",
    "It has learnt from few galaxies, and may repeat some of them, rare ones above all.",
    "Fractions that contradict what is usual are granted less than they are asked for.",
    "Pictures look like SDSS's gri colour images, and like no other survey's.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--labels", help="label table in DATA")
    parser.add_argument("--tree", default=str(GALAXY_ZOO_2))
    parser.add_argument("--galaxies", type=int, help="to train on, at most")
    parser.add_argument("--channels", default="48,80,128", help="of the network's levels")
    defaults = GeneratorRecipe()
    for name in ("epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--rate", type=float, default=defaults.rate)
    options = parser.parse_args()
    recipe = GeneratorRecipe(epochs=options.epochs, batch=options.batch, seed=options.seed, rate=options.rate)
    tree = load_tree(options.tree)
    making = Path(f"{options.out}.making")
    making.mkdir(parents=True, exist_ok=True)
    trained, held_out = (
        own_labels(options.data, options.labels, tree)
        if options.labels
        else challenge_labels(options.data, making, tree)
    )
    trained = trained[: options.galaxies]
    spec = spec_of(options.channels, tree)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    generator = Generator(spec).to(device)
    parameters = sum(part.numel() for part in generator.parameters())
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"--channels {options.channels} make {parameters:,} parameters; "
            f"expected at most {MOST_PARAMETERS:,}"
        )
    say(f"{parameters:,} parameters, on {device}; {len(trained):,} galaxies, {len(held_out):,} held out")
    galaxies, unseen = (training_set(labels).to(device) for labels in (trained, held_out))
    state = making / f"trained-{identity_of(spec, recipe, trained)}.pt"
    best = trained_generator(generator, galaxies, recipe, state)
    card = GeneratorCard(
        network=spec,
        tree=tree.name,
        columns=tree.columns,
        largest=tuple(np.nan_to_num(np.fmax.reduce(trained.votes)).round(4).tolist()),
        data={"set": options.labels or "galaxy_zoo_challenge", "galaxies": len(galaxies)},
        recipe=recipe.model_dump(),
        score={
            "held_out_galaxies": len(unseen),
            "held_out_loss": round(held_out_loss(best, unseen, recipe), 4),
            "trained_loss": round(held_out_loss(best, galaxies.first(len(unseen)), recipe), 4),
        },
        not_good_for=LIMITS,
    )
    save_generator(best, options.out, card)
    say(f"{options.out}: {card.score}")


def spec_of(channels: str, tree: DecisionTree) -> GeneratorSpec:
    """A network with so many channels in its levels, all but the finest of which have attention."""
    numbers = channels.split(",")
    values = {
        "answers": tree.answer_count,
        "channels": numbers,
        "attention": [False, *(True for _ in numbers[1:])],
    }
    return validate(GeneratorSpec, values, f"--channels {channels}")


def challenge_labels(data: str, making: Path, tree: DecisionTree) -> tuple[Labels, Labels]:
    """The challenge's galaxies that weights learn from, and those that none does."""
    voted = voted_galaxies(data, tree)
    both = []
    for name, tables in (("trained", [voted.trained]), ("unseen", voted.unseen)):
        write_labels(str(making / f"{name}.csv"), [pd.concat(tables, ignore_index=True)], tree)
        both.append(read_labels(str(making), tree, f"{name}.csv"))
    return both[0], both[1]


def own_labels(folder: str, table: str, tree: DecisionTree) -> tuple[Labels, Labels]:
    """The rows of a label table but for the last tenth, and the last tenth.

    Raises
    ------
    InputError
        If it can't be used, or there are fewer than ten.
    """
    labels = read_labels(storage.absolute(folder), tree, table)
    held_out = len(labels) // 10
    if not held_out:
        raise InputError(f"{table} has {len(labels)} galaxies; expected at least 10, of which 1 is held out")
    return labels[:-held_out], labels[-held_out:]


def training_set(labels: Labels) -> TrainingSet:
    """Galaxies in memory as a generator is trained on them."""
    check_images(labels)
    return TrainingSet(kept_pictures(regions_of(labels), len(labels)), torch.from_numpy(labels.votes))


def regions_of(labels: Labels) -> Iterator[Region]:
    """The galaxies' middles, read ahead."""
    cut, rows = Cut(REACH), range(len(labels))
    with progress("Reading galaxies", len(labels)) as advance:
        for region in storage.read_ahead(lambda row: load_region(labels, row, cut), rows):
            yield region
            advance(1)


def trained_generator(
    generator: Generator, galaxies: TrainingSet, recipe: GeneratorRecipe, state: Path
) -> Generator:
    """The generator trained, or trained on from its last epoch."""
    before = epochs_done(state)
    total = recipe.epochs * len(galaxies)
    with progress("Training", total, done=before * len(galaxies)) as shown:
        return train_generator(
            generator,
            galaxies,
            recipe,
            lambda epochs, loss: say(f"Epoch {epochs:,} of {recipe.epochs:,}: loss {loss:.4f}"),
            state,
            shown,
        )


def identity_of(spec: GeneratorSpec, recipe: GeneratorRecipe, labels: Labels) -> str:
    """What a training's state is of: another network, recipe or galaxies begin anew."""
    known = hashlib.sha256(spec.model_dump_json().encode() + recipe.model_dump_json().encode())
    known.update("\n".join(labels.ids).encode() + labels.votes.tobytes())
    return known.hexdigest()[:12]


if __name__ == "__main__":
    main()
