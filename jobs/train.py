"""Train: from labelled galaxies to weights with a card."""

from __future__ import annotations

import torch

from jobs.console import progress, say
from pipeline import storage
from pipeline.averaging import SharedAverage, naive_average
from pipeline.config import CONFIGS, StrictModel, load_config
from pipeline.errors import InputError
from pipeline.evaluation import rmse
from pipeline.geometry import IDENTITY, averaging_transforms, reach
from pipeline.network import (
    Card,
    ViewpointNetwork,
    ViewpointSampler,
    load_network,
    load_network_spec,
    save_network,
)
from pipeline.training import LabelledGalaxies, Recipe, load_galaxies, train_network
from pipeline.tree import GALAXY_ZOO_2, load_tree

_SCORE_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))
_SCORED_AT_ONCE = 64


class TrainConfig(StrictModel):
    """What `tuningfork train` takes.

    Attributes
    ----------
    data
        Folder in the Galaxy Challenge's layout.
    output
        Folder or prefix for ``<network>.safetensors`` and its card.
    network, recipe, tree
        YAML files.
    data_name
        What the card calls the data; the folder's name if not given.
    not_good_for
        Known limits for the card, one sentence each.
    """

    data: str
    output: str
    network: str = str(CONFIGS / "networks" / "compact.yaml")
    recipe: str = str(CONFIGS / "recipes" / "small.yaml")
    tree: str = str(GALAXY_ZOO_2)
    data_name: str | None = None
    not_good_for: tuple[str, ...] = ()


def run(config: TrainConfig) -> None:
    """Train on all but the last rows of the label file, score on those, write weights and card.

    Raises
    ------
    InputError
        If data, network, recipe or tree can't be used, or the weights are there already.
    """
    tree = load_tree(config.tree)
    spec = load_network_spec(config.network)
    recipe = load_config(Recipe, config.recipe)
    weights = storage.join(config.output, f"{spec.name}.safetensors")
    if storage.exists(weights):
        raise InputError(f"{weights} exists already; name another output or remove it")
    galaxies = load_galaxies(config.data, tree, max(recipe.augmentation.reach, _SCORE_REACH))
    count = len(galaxies) - held_out_count(len(galaxies), recipe.held_out)
    trained_on, held_out = galaxies[:count], galaxies[count:]
    say(f"{len(trained_on):,} galaxies to train on, {len(held_out):,} held out")
    total = recipe.epochs * len(trained_on)
    with progress("Training", total, unit="examples") as advance:
        result = train_network(spec, tree, recipe, trained_on, lambda count, _: advance(count))
    card = Card(
        network=spec,
        tree=tree.name,
        columns=tree.columns,
        data={"name": config.data_name or storage.name(config.data), "galaxies": len(trained_on)},
        recipe=recipe.model_dump(mode="json"),
        not_good_for=config.not_good_for,
    )
    save_network(result.network, weights, card)
    stored, card = load_network(weights, tree)
    score = _score(stored, held_out)
    save_network(stored, weights, card.model_copy(update={"score": score}))
    if score:
        say(f"RMSE {score['rmse_60_transforms']} with 60 transforms on the held-out galaxies")
    say(f"Weights: {weights}")


def held_out_count(galaxies: int, share: float) -> int:
    """How many of a label file's rows are held out: a part of a row is trained on."""
    return int(galaxies * share)


def _score(network: ViewpointNetwork, held_out: LabelledGalaxies) -> dict[str, object]:
    """The score of the weights as stored, on galaxies never trained on."""
    if not len(held_out):
        return {}
    votes = held_out.votes
    sampler = ViewpointSampler()
    single = torch.cat(
        [
            naive_average(network, sampler, held_out.regions[start : start + _SCORED_AT_ONCE], (IDENTITY,))
            for start in range(0, len(held_out), _SCORED_AT_ONCE)
        ]
    )
    averaged = SharedAverage(network)(held_out.regions)
    mean = votes.mean(dim=0, keepdim=True).expand_as(votes)
    return {
        "rmse_60_transforms": round(rmse(averaged, votes), 4),
        "rmse_single": round(rmse(single, votes), 4),
        "rmse_of_mean_votes": round(rmse(mean, votes), 4),
        "rmse_by_question": {
            key: round(rmse(averaged[:, where], votes[:, where]), 4)
            for key, where in network.tree.slices.items()
        },
        "held_out_galaxies": list(held_out.ids),
    }
