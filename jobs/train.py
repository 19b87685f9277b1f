"""Train: from labelled galaxies to weights with a card."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from pipeline import storage
from pipeline.averaging import SharedAverage, naive_average
from pipeline.config import CONFIGS, StrictModel, load_config, load_yaml
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import IDENTITY, averaging_transforms, reach
from pipeline.network import (
    ENSEMBLE_SUFFIX,
    Card,
    Ensemble,
    NetworkSpec,
    ViewpointNetwork,
    ViewpointSampler,
    by_recentring,
    load_network,
    load_network_spec,
    load_networks,
    read_card,
    save_ensemble,
    save_network,
)
from pipeline.run.places import Output
from pipeline.training import (
    Cut,
    Labels,
    Recipe,
    RunSettings,
    TrainingJob,
    check_images,
    equal_sides,
    initial_network,
    load_galaxies,
    newest_checkpoint,
    read_labels,
    train_here,
)
from pipeline.training.labels import LABELS_FILE
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, joined, load_tree

_SCORE_REACH = reach(zoom=min(transform.zoom for transform in averaging_transforms()))
_SCORED_AT_ONCE = 64


class TrainConfig(StrictModel):
    """What `tuningfork train` takes.

    Attributes
    ----------
    data, labels
        Folder, and the label table in it; by default the Galaxy Challenge's layout.
    output
        Folder or prefix for ``<name>.safetensors``, its card, and ``<name>.run/`` with checkpoints and logs.
    network, recipe
        YAML files.
    ensemble
        YAML file of several networks, in place of `network`: those that are missing are trained, and the
        ensemble is written as ``<ensemble>.ensemble.json``.
    tree
        YAML files; the questions of several are learnt together.
    name
        Of the weights; the network's if not given.
    seed, examples
        In place of the recipe's.
    held_out
        How many rows of the label table, the last ones, aren't trained on, in place of the recipe's share.
    init
        Weights to start from, of the same layers; answers that they don't have start anew.
    workers
        More than one train together on Ray (``RAY_ADDRESS``, or this machine).
    micro_batch
        Most examples that go through the network together; the batch if not given.
    cached
        Whether several workers keep decoded galaxies in Ray's object store, or read them anew in every pass;
        if not given, whether they fit.
    log_every, evaluate_every, checkpoint_every
        In examples.
    data_name
        What the card calls the data; the folder's name if not given.
    not_good_for
        Known limits for the card, one sentence each.
    """

    data: str
    output: Output
    labels: str = LABELS_FILE
    network: str = str(CONFIGS / "networks" / "compact.yaml")
    recipe: str = str(CONFIGS / "recipes" / "small.yaml")
    ensemble: str | None = None
    tree: str | tuple[str, ...] = str(GALAXY_ZOO_2)
    name: str | None = None
    seed: int | None = None
    examples: int | None = None
    held_out: int | None = Field(default=None, ge=0)
    init: str | None = None
    workers: int = Field(default=1, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    cached: bool | None = None
    log_every: int = Field(default=1_000, gt=0)
    evaluate_every: int = Field(default=10_000, gt=0)
    checkpoint_every: int = Field(default=10_000, gt=0)
    data_name: str | None = None
    not_good_for: tuple[str, ...] = ()


class Member(StrictModel):
    """A network of an ensemble: a file under ``configs/networks``, and a seed in place of the recipe's."""

    network: str
    seed: int | None = None


class EnsembleRecipe(StrictModel):
    """Networks whose answers are averaged; a YAML file under ``configs/ensembles``."""

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
    tree = _tree(config.tree)
    labels = read_labels(storage.absolute(config.data), tree, config.labels)
    held_out = labels[_trained_on(config, _recipe(config), labels) :]
    say(f"All together: {told(score(load_networks(uri, tree), held_out))}")
    say(f"Ensemble: {uri}")


def train_one(config: TrainConfig) -> None:
    """Train on all but the last rows of the label file, score on those, write weights and card.

    Run again it continues from the newest whole checkpoint, or says that the weights are complete.

    Raises
    ------
    InputError
        If data, network, recipe or tree can't be used, or the output holds another training.
    RunError
        If the loss is no longer finite, or workers keep dying.
    """
    tree, spec, recipe = _tree(config.tree), load_network_spec(config.network), _recipe(config)
    name = config.name or spec.name
    weights = storage.join(storage.absolute(config.output), f"{name}.safetensors")
    labels = read_labels(storage.absolute(config.data), tree, config.labels)
    count = _trained_on(config, recipe, labels)
    settings = RunSettings(
        weights.removesuffix(".safetensors") + ".run",
        config.log_every,
        config.evaluate_every,
        config.checkpoint_every,
    )
    identity = _identity(config, spec, recipe, tree, labels) | {"held_out": len(labels) - count}
    if storage.exists(weights) and _same_run(settings.folder, identity):
        say(f"{weights} is complete: {told(read_card(weights).score)}. Nothing to do.")
        return
    if storage.exists(weights):
        raise InputError(f"{weights} exists already, trained otherwise; name another output or remove it")
    check_images(labels)
    newest_checkpoint(settings.checkpoints)
    if config.init is not None:
        initial_network(spec, tree, recipe.seed, config.init)
    _claim(settings.folder, identity)
    trained_on, held_out = labels[:count], labels[count:]
    say(f"{len(trained_on):,} galaxies to train on, {len(held_out):,} held out; log in {settings.folder}")
    recentring = None if spec.recentring is None else spec.recentring.threshold
    job = TrainingJob(
        spec,
        tree,
        recipe,
        trained_on,
        held_out,
        Cut(max(recipe.augmentation.reach, _SCORE_REACH), recentring),
        settings,
        config.init,
        config.micro_batch,
        config.cached,
    )
    _train(job, config.workers)
    network = _trained(settings, spec, tree)
    card = Card(
        network=spec,
        tree=tree.name,
        columns=tree.columns,
        data={"name": config.data_name or storage.name(config.data), "galaxies": len(trained_on)},
        recipe=recipe.model_dump(mode="json") | {"initial_weights": identity["initial_weights"]},
        not_good_for=config.not_good_for,
    )
    save_network(network, weights, card)
    stored, card = load_network(weights, tree)
    found = score([stored], held_out)
    save_network(stored, weights, card.model_copy(update={"score": found}))
    say(told(found))
    say(f"Weights: {weights}")


def _trained_on(config: TrainConfig, recipe: Recipe, labels: Labels) -> int:
    """How many rows are trained on; the others, the last ones, are held out."""
    held_out = held_out_count(len(labels), recipe.held_out) if config.held_out is None else config.held_out
    if held_out >= len(labels):
        raise InputError("there are no galaxies to train on; expected at least 1 that isn't held out")
    return len(labels) - held_out


def is_recipe(path: str | Path) -> bool:
    """Whether a YAML file is a recipe and not a configuration of this verb."""
    keys = load_yaml(path).keys()
    return not keys <= TrainConfig.model_fields.keys() and keys <= Recipe.model_fields.keys()


def held_out_count(galaxies: int, share: float) -> int:
    """How many of a label file's rows are held out: a part of a row is trained on."""
    return int(galaxies * share)


def _tree(paths: str | tuple[str, ...]) -> DecisionTree:
    trees = [load_tree(path) for path in ((paths,) if isinstance(paths, str) else paths)]
    return trees[0] if len(trees) == 1 else joined(*trees)


def _recipe(config: TrainConfig) -> Recipe:
    given = {key: getattr(config, key) for key in ("seed", "examples") if getattr(config, key) is not None}
    return load_config(Recipe, config.recipe, overrides=[f"{key}={value}" for key, value in given.items()])


def _identity(
    config: TrainConfig, spec: NetworkSpec, recipe: Recipe, tree: DecisionTree, labels: Labels
) -> dict[str, Any]:
    """What makes a training this one and no other."""
    digest = hashlib.sha256("\n".join(labels.ids).encode())
    for values in (labels.votes, labels.weights, labels.frames):
        digest.update(values.tobytes())
    return {
        "network": spec.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "answers": list(tree.columns),
        "labels": digest.hexdigest(),
        "initial_weights": None if config.init is None else read_card(config.init).sha256,
    }


def _same_run(folder: str, identity: Mapping[str, Any]) -> bool:
    record = storage.join(folder, "run.json")
    return storage.exists(record) and json.loads(storage.read_bytes(record)) == identity


def _claim(folder: str, identity: Mapping[str, Any]) -> None:
    """Bind a run's folder to what is trained there."""
    record = storage.join(folder, "run.json")
    if storage.create(record, (json.dumps(identity, indent=1) + "\n").encode()) or _same_run(
        folder, identity
    ):
        return
    earlier = json.loads(storage.read_bytes(record))
    changed = ", ".join(key for key in identity if earlier.get(key) != identity[key])
    raise InputError(f"{folder} holds a training with other {changed}; name another output or remove it")


def _train(job: TrainingJob, workers: int) -> None:
    if workers == 1:
        with _shown(job) as show:
            train_here(job, show, say)
        return
    # Ray takes seconds to load, and isn't everywhere that a network is trained.
    from pipeline.streaming import connect
    from pipeline.training.distributed import train_distributed

    connect()
    with _shown(job) as show:
        train_distributed(job, workers, show, say)


@contextlib.contextmanager
def _shown(job: TrainingJob) -> Iterator[Callable[[int], None]]:
    """A progress bar, to be told how many examples were shown in all."""
    checkpoint, total = newest_checkpoint(job.settings.checkpoints), job.recipe.examples
    done = checkpoint.seen if checkpoint else 0
    if done:
        say(f"Continues after {done:,} of {total:,} examples")
    with progress("Training", total, unit="examples", done=min(done, total)) as advance:

        def show(seen: int) -> None:
            nonlocal done
            if seen > done:
                advance(min(seen, total) - min(done, total))
                done = seen

        yield show


def _trained(settings: RunSettings, spec: NetworkSpec, tree: DecisionTree) -> ViewpointNetwork:
    """The network of the last checkpoint: the moving average where there is one."""
    checkpoint = newest_checkpoint(settings.checkpoints)
    if checkpoint is None:
        raise InputError(f"{settings.checkpoints} holds no checkpoint; train again")
    tensors = checkpoint.tensors
    part = "average.module." if any(name.startswith("average.") for name in tensors) else "network."
    network = ViewpointNetwork(spec, tree)
    network.load_state_dict(
        {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
    )
    return network.eval().requires_grad_(False)


def score(networks: Sequence[ViewpointNetwork], labels: Labels) -> dict[str, object]:
    """The score of networks, of their mean if they are several, on galaxies never trained on.

    Of the votes there are; empty if there are none. The interval is of the score over 60 transforms, for
    galaxies drawn anew.
    """
    tree, votes = networks[0].tree, torch.from_numpy(labels.votes)
    if votes.isnan().all():
        return {}
    answers, single = torch.zeros_like(votes), torch.zeros_like(votes)
    sampler = ViewpointSampler()
    for threshold, alike in by_recentring(networks).items():
        galaxies = load_galaxies(labels, Cut(_SCORE_REACH, threshold))
        average = SharedAverage(*alike)
        for rows, regions in equal_sides(galaxies.regions, _SCORED_AT_ONCE):
            answers[rows] += average.each(regions).sum(0) / len(networks)
            for network in alike:
                single[rows] += naive_average(network, sampler, regions, (IDENTITY,)) / len(networks)
    low, high = rmse_interval(answers, votes)
    return {
        "rmse_60_transforms": round(rmse(answers, votes), 4),
        "rmse_60_transforms_95_percent": [round(low, 4), round(high, 4)],
        "rmse_single": round(rmse(single, votes), 4),
        "rmse_of_mean_votes": round(rmse(votes.nanmean(dim=0, keepdim=True).expand_as(votes), votes), 4),
        "rmse_by_question": {
            key: round(rmse(answers[:, where], votes[:, where]), 4)
            for key, where in tree.slices.items()
            if not votes[:, where].isnan().all()
        },
        "held_out_galaxies": list(labels.ids),
    }


def told(found: Mapping[str, object]) -> str:
    """A score in words."""
    if not found:
        return "no galaxies were held out, so there is no score"
    interval = found["rmse_60_transforms_95_percent"]
    return (
        f"RMSE {found['rmse_60_transforms']} (95 %: {interval}) with 60 transforms on the held-out galaxies, "
        f"{found['rmse_single']} with single views"
    )
