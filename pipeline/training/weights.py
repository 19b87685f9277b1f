"""The training of one network, from settings and labelled galaxies to weights with a card."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from pydantic import Field
from torch import Tensor

from pipeline import storage
from pipeline.confidence.document import confidence_uri, write_confidence
from pipeline.config import CONFIGS, StrictModel, load_config
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.lineage import Dataset, traced
from pipeline.network import (
    Card,
    NetworkSpec,
    ViewpointNetwork,
    check_model,
    load_network,
    load_network_spec,
    read_card,
    save_network,
)
from pipeline.network.seen import seen_uri
from pipeline.places import EnsembleFile, InitialWeightsFile, NetworkFile, Output, RecipeFile, TreeFiles
from pipeline.representations import projection_uri
from pipeline.tracking import record_end, recorded_training
from pipeline.training.checkpoints import newest_checkpoint
from pipeline.training.confidence import FEWEST_HELD_OUT, learn_confidence
from pipeline.training.galaxies import Cut, check_images
from pipeline.training.identity import as_begun, claim, identity_of, is_same
from pipeline.training.initial import initial_network
from pipeline.training.job import TrainingJob, train_here
from pipeline.training.labels import LABELS_FILE, Labels, read_labels
from pipeline.training.precision import Precision, fastest_precision
from pipeline.training.projection import keep_projection
from pipeline.training.recipe import Recipe
from pipeline.training.run import RunSettings
from pipeline.training.score import SCORE_REACH, answers_for, score_in_words, score_of
from pipeline.training.seen import keep_seen
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, joined, load_tree


class TrainConfig(StrictModel):
    """What `tuningfork train` takes.

    Attributes
    ----------
    data, labels
        Folder of the training data, and the label table in it; by default in the Galaxy Challenge's layout.
    output
        Folder or prefix for ``<name>.safetensors``, its card, and ``<name>.run/`` with checkpoints and logs.
    network, recipe
        What layers the network has, and how it is trained: YAML files, or names of ones that come with
        Tuningfork (``compact``, ``small``).
    ensemble
        YAML file of several networks, instead of `network`. Those that are missing are trained, and the
        ensemble is written as ``<ensemble>.ensemble.json``.
    tree
        YAML file of the decision tree, or several, whose questions are learnt together.
    name
        Name of the weights; by default the network's.
    seed
        Seed for everything random, such as the initial weights and the order of galaxies; by default the
        recipe's.
    examples
        How many galaxies are shown in all, counting each as often as it is shown; by default the recipe's.
    held_out
        How many rows at the end of the label table are held out from training; replaces the recipe's
        fraction.
    init
        Weights to start from, of a network with the same layers. The outputs of new answers are initialised
        anew.
    workers
        How many workers train together; more than one run on Ray (``RAY_ADDRESS``, or this machine).
    micro_batch
        At most how many examples go through the network together; by default the whole batch.
    cached
        If there are several workers: whether they keep decoded galaxies in Ray's object store, or read them
        again in every pass; by default, whether they fit.
    log_every, evaluate_every, checkpoint_every
        After how many examples the loss is logged, the held-out galaxies are scored, and a checkpoint is
        written, from which the same command continues. By default a thousandth of all examples (at least
        1,000) for the log, and a twentieth (at least 10,000) for the other two.
    checkpoint_minutes
        After how many minutes a checkpoint is written in any case.
    data_name
        Name of the data on the card; by default the folder's name.
    version
        Version of these weights on the card, such as ``2``.
    not_good_for
        Known limits, for the card; one sentence each.
    companions
        Whether to write the files beside the weights that say how sure answers are and how galaxies are
        embedded. Networks that only teach others need neither.
    """

    data: str
    output: Output
    labels: str = LABELS_FILE
    network: NetworkFile = str(CONFIGS / "networks" / "compact.yaml")
    recipe: RecipeFile = str(CONFIGS / "recipes" / "small.yaml")
    ensemble: EnsembleFile = None
    tree: TreeFiles = str(GALAXY_ZOO_2)
    name: str | None = None
    seed: int | None = None
    examples: int | None = None
    held_out: int | None = Field(default=None, ge=0)
    init: InitialWeightsFile = None
    workers: int = Field(default=1, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    cached: bool | None = None
    log_every: int | None = Field(default=None, gt=0)
    evaluate_every: int | None = Field(default=None, gt=0)
    checkpoint_every: int | None = Field(default=None, gt=0)
    checkpoint_minutes: float = Field(default=10.0, gt=0)
    data_name: str | None = None
    version: str | None = None
    not_good_for: tuple[str, ...] = ()
    companions: bool = True


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
    tree, recipe = tree_of(config.tree), recipe_of(config)
    spec = recipe.regularised(load_network_spec(config.network))
    name = config.name or spec.name
    weights = storage.join(storage.absolute(config.output), f"{name}.safetensors")
    labels = read_labels(storage.absolute(config.data), tree, config.labels)
    count = trained_count(config, recipe, labels)
    settings = run_settings(config, recipe, weights.removesuffix(".safetensors") + ".run")
    recipe = as_begun(settings.folder, recipe)
    identity = identity_of(spec, recipe, tree, labels, config.init) | {"held_out": len(labels) - count}
    if storage.exists(weights) and is_same(settings.folder, identity):
        judge(weights, tree, labels[:count], labels[count:], config.companions, config.init)
        score = read_card(weights).score
        record_end(settings.folder, score)
        say(f"{weights} is complete: {score_in_words(score)}. Nothing to do.")
        return
    if storage.exists(weights):
        raise InputError(f"{weights} exists already, trained otherwise; name another output or remove it")
    check_images(labels)
    newest_checkpoint(settings.checkpoints)
    if config.init is not None:
        initial_network(spec, tree, recipe.seed, config.init)
    if recipe.precision == "auto":
        recipe = recipe.model_copy(update={"precision": _fastest_precision(config.workers)})
        identity["recipe"] = recipe.model_dump(mode="json")
    claim(settings.folder, identity)
    trained_on, held_out = labels[:count], labels[count:]
    say(
        f"{len(trained_on):,} galaxies to train on in {recipe.precision}, {len(held_out):,} held out; "
        f"log in {settings.folder}"
    )
    recentring = None if spec.recentring is None else spec.recentring.threshold
    job = TrainingJob(
        spec,
        tree,
        recipe,
        trained_on,
        held_out,
        Cut(max(recipe.augmentation.reach, SCORE_REACH), recentring),
        settings,
        config.init,
        config.micro_batch,
        config.cached,
    )
    parameters = identity | {"data": config.data, "weights": weights}
    reads = [Dataset(place) for place in (storage.absolute(config.data), config.init) if place]
    with (
        traced("train", weights, reads) as written,
        recorded_training(settings.folder, parameters) as results,
    ):
        _train(job, config.workers)
        network = _trained(settings, spec, tree)
        card = Card(
            network=spec,
            tree=tree.name,
            columns=tree.columns,
            name=name,
            version=config.version or "",
            data={"name": config.data_name or storage.name(config.data), "galaxies": len(trained_on)},
            recipe=recipe.model_dump(mode="json") | {"initial_weights": identity["initial_weights"]},
            not_good_for=config.not_good_for,
        )
        save_network(network, weights, card)
        judge(weights, tree, trained_on, held_out, config.companions, config.init)
        finished = read_card(weights)
        results |= finished.score
        written.append(Dataset(weights, finished.sha256))
    say(f"Weights: {weights}")


def judge(
    weights: str,
    tree: DecisionTree,
    trained_on: Labels,
    held_out: Labels,
    companions: bool,
    init: str | None = None,
) -> None:
    """Score weights, list the pictures that they were trained on, and learn their companions, unless done."""
    stored, card = load_network(weights, tree)
    unsure = companions and len(held_out) >= FEWEST_HELD_OUT and not storage.exists(confidence_uri(weights))
    if unsure or not (card.score or np.isnan(held_out.votes).all()):
        answers, single = answers_for([stored], held_out)
        scores = score_of(tree, answers, single, held_out)
        save_network(stored, weights, card.model_copy(update={"score": scores}))
        say(score_in_words(scores))
        if unsure:
            keep_confidence(weights, [stored], answers, held_out, trained_on)
    if not storage.exists(seen_uri(weights)):
        keep_seen(weights, trained_on.images, init)
    if companions and not storage.exists(projection_uri(weights)):
        keep_projection(weights, stored, trained_on)


def keep_confidence(
    weights: str,
    networks: Sequence[ViewpointNetwork],
    answers: Tensor,
    held_out: Labels,
    trained_on: Labels,
) -> None:
    """Write beside weights, or an ensemble, how sure their answers are, if enough galaxies were held out."""
    if len(held_out) < FEWEST_HELD_OUT:
        return
    model = check_model(weights, networks[0].tree)
    write_confidence(weights, learn_confidence(networks, model.sha256, answers, held_out, trained_on))
    say(f"How sure its answers are: {confidence_uri(weights)}")


def trained_count(config: TrainConfig, recipe: Recipe, labels: Labels) -> int:
    """How many rows are trained on; the others, the last ones, are held out."""
    held_out = held_out_count(len(labels), recipe.held_out) if config.held_out is None else config.held_out
    if held_out >= len(labels):
        raise InputError("there are no galaxies to train on; expected at least 1 that isn't held out")
    return len(labels) - held_out


def held_out_count(galaxies: int, share: float) -> int:
    """How many of a label file's rows are held out: a part of a row is trained on."""
    return int(galaxies * share)


def tree_of(paths: str | tuple[str, ...]) -> DecisionTree:
    """The tree of one file, or of several one behind the other."""
    trees = [load_tree(path) for path in ((paths,) if isinstance(paths, str) else paths)]
    return trees[0] if len(trees) == 1 else joined(*trees)


def recipe_of(config: TrainConfig) -> Recipe:
    """The recipe of a file, with what the settings say otherwise."""
    changes = {key: getattr(config, key) for key in ("seed", "examples") if getattr(config, key) is not None}
    return load_config(Recipe, config.recipe, overrides=[f"{key}={value}" for key, value in changes.items()])


def run_settings(config: TrainConfig, recipe: Recipe, folder: str) -> RunSettings:
    """Where and how often a run keeps itself; short trainings write log and checkpoints no less often."""
    seldom = max(10_000, recipe.examples // 20)
    return RunSettings(
        folder,
        config.log_every or max(1_000, recipe.examples // 1_000),
        config.evaluate_every or seldom,
        config.checkpoint_every or seldom,
        60 * config.checkpoint_minutes,
    )


def _fastest_precision(workers: int) -> Precision:
    if workers == 1:
        return fastest_precision()
    from pipeline.streaming import connect
    from pipeline.training.distributed import workers_precision

    connect()
    return workers_precision()


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
