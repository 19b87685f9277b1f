"""Train: from labelled galaxies to weights with a card."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from pipeline import storage
from pipeline.config import CONFIGS, StrictModel, load_config, load_yaml, shipped
from pipeline.console import say
from pipeline.network import (
    ENSEMBLE_SUFFIX,
    Ensemble,
    load_network_spec,
    load_networks,
    read_card,
    save_ensemble,
)
from pipeline.training import Recipe, read_labels
from pipeline.training.score import answers_for, score_in_words, score_of
from pipeline.training.weights import (
    TrainConfig,
    keep_confidence,
    recipe_of,
    train_one,
    trained_count,
    tree_of,
)


class Member(StrictModel):
    """A network of an ensemble.

    Attributes
    ----------
    network
        A file under ``configs/networks``.
    seed
        Replaces the recipe's, so that networks of the same kind differ.
    """

    network: str
    seed: int | None = None


class EnsembleRecipe(StrictModel):
    """Networks whose answers are averaged; a YAML file under ``configs/ensembles``.

    Attributes
    ----------
    name
        Name of the ensemble, and of its file.
    members
        The networks of the ensemble.
    """

    name: str
    members: tuple[Member, ...] = Field(min_length=1)


def run(config: TrainConfig) -> None:
    """Train one network, or those of an ensemble one after another (see `train_one`)."""
    if config.ensemble is None:
        train_one(config)
        return
    ensemble = load_config(EnsembleRecipe, config.ensemble)
    paths = [CONFIGS / "networks" / f"{member.network}.yaml" for member in ensemble.members]
    names = [load_network_spec(path).name for path in paths]
    hashes = {}
    for number, (name, path, member) in enumerate(zip(names, paths, ensemble.members, strict=True), start=1):
        say(f"Network {number} of {len(names)}: {name}")
        seed = config.seed if member.seed is None else member.seed
        train_one(config.model_copy(update={"network": str(path), "seed": seed, "ensemble": None}))
        file = f"{name}.safetensors"
        hashes[file] = read_card(storage.join(storage.absolute(config.output), file)).sha256
    uri = storage.join(storage.absolute(config.output), f"{ensemble.name}{ENSEMBLE_SUFFIX}")
    save_ensemble(uri, Ensemble(name=ensemble.name, members=hashes))
    tree = tree_of(config.tree)
    labels = read_labels(storage.absolute(config.data), tree, config.labels)
    count = trained_count(config, recipe_of(config), labels)
    trained_on, held_out = labels[:count], labels[count:]
    networks = load_networks(uri, tree)
    answers, single = answers_for(networks, held_out)
    say(f"All together: {score_in_words(score_of(tree, answers, single, held_out))}")
    keep_confidence(uri, networks, answers, held_out, trained_on)
    say(f"Ensemble: {uri}")


def recipe_as_setting(file: str | None, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Make a recipe, where that is what ``--config`` names, the setting ``recipe``.

    Returns
    -------
    file
        What still is a file of settings.
    words
        The settings besides.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if file is None:
        return None, list(words)
    path = shipped(("jobs", "recipes"), file)
    return (None, [f"recipe={path}", *words]) if _is_recipe(path) else (path, list(words))


def _is_recipe(path: str) -> bool:
    keys = load_yaml(path).keys()
    return not keys <= TrainConfig.model_fields.keys() and keys <= Recipe.model_fields.keys()
