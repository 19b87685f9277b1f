"""Train: from labelled galaxies to weights with a card."""

from __future__ import annotations

import torch

from jobs.console import progress, say
from pipeline import storage
from pipeline.averaging import SharedAverage, naive_average
from pipeline.config import CONFIGS, StrictModel, load_config
from pipeline.errors import InputError
from pipeline.evaluation import rmse
from pipeline.geometry import IDENTITY
from pipeline.network import (
    Card,
    NetworkSpec,
    ViewpointNetwork,
    ViewpointSampler,
    load_network,
    load_network_spec,
    save_network,
)
from pipeline.training import LabelledGalaxies, Recipe, load_galaxies, train_network
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree


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
    """

    data: str
    output: str
    network: str = str(CONFIGS / "networks" / "compact.yaml")
    recipe: str = str(CONFIGS / "recipes" / "small.yaml")
    tree: str = str(GALAXY_ZOO_2)


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
    galaxies = load_galaxies(config.data, tree, recipe.augmentation.reach)
    count = len(galaxies) - round(len(galaxies) * recipe.held_out)
    trained_on, held_out = (
        galaxies.subset(torch.arange(start, stop)) for start, stop in ((0, count), (count, len(galaxies)))
    )
    say(f"{len(trained_on):,} galaxies to train on, {len(held_out):,} held out")
    total = recipe.epochs * len(trained_on)
    with progress("Training", total, unit="examples") as advance:
        result = train_network(spec, tree, recipe, trained_on, lambda count, _: advance(count))
    _save(result.network, spec, tree, recipe, trained_on, weights)
    network, card = load_network(weights, tree)
    score = _score(network, held_out)
    card = card.model_copy(update={"score": score})
    save_network(network, weights, card)
    if score:
        say(f"RMSE {score['rmse_60_transforms']} with 60 transforms on the held-out galaxies")
    say(f"Weights: {weights}")


def _save(
    network: ViewpointNetwork,
    spec: NetworkSpec,
    tree: DecisionTree,
    recipe: Recipe,
    trained_on: LabelledGalaxies,
    weights: str,
) -> None:
    card = Card(
        network=spec,
        tree=tree.name,
        columns=tree.columns,
        data={"galaxies": len(trained_on)},
        recipe=recipe.model_dump(mode="json"),
        not_good_for=_limits(trained_on),
    )
    save_network(network, weights, card)


def _score(network: ViewpointNetwork, held_out: LabelledGalaxies) -> dict[str, object]:
    """The score of the weights as stored, on galaxies never trained on."""
    if not len(held_out):
        return {}
    single = naive_average(network, ViewpointSampler(), held_out.regions, (IDENTITY,))
    averaged = SharedAverage(network)(held_out.regions)
    mean = held_out.votes.mean(dim=0, keepdim=True).expand_as(held_out.votes)
    return {
        "rmse_60_transforms": round(rmse(averaged, held_out.votes), 4),
        "rmse_single": round(rmse(single, held_out.votes), 4),
        "rmse_of_mean_votes": round(rmse(mean, held_out.votes), 4),
        "held_out_galaxies": list(held_out.ids),
    }


def _limits(trained_on: LabelledGalaxies) -> tuple[str, ...]:
    return (f"Trained on {len(trained_on):,} galaxies: answers that few of them had are learnt poorly.",)
