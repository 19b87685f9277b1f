"""The weights that come with the project, from galaxies labelled in several ways: ``make weights DATA=DIR``.

    python -m jobs.recipes.weights DIR OUT [--without-efigi]

DIR holds the folders ``galaxy_zoo_challenge``, ``stripe82``, ``sdss_gz1`` and ``efigi``.

An hour on two cores:

1. One network learns all that volunteers and astronomers said of 6,783 galaxies, each where it has labels.
2. From there, two learn Galaxy Zoo 2's votes alone: on 400 galaxies of the challenge, and 383 of Stripe 82.
3. Their mean answers, over 60 transforms, are labels for 3,000 galaxies of the same kind that have none.
4. From the first network again, the one that is kept learns votes and those labels together.

The last 100 galaxies of the challenge's labels are in none of this; they are the score. Weights that never
saw an EFIGI label, and so can be judged by how few of them they need, are made ``--without-efigi``; they
score 0.112 where these score 0.109.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from jobs.recipes.tables import (
    EFIGI,
    KINDS,
    LARGEST,
    VOTES,
    challenge,
    efigi,
    galaxy_zoo_1,
    largest_answers,
    stripe_82,
    write_labels,
)
from pipeline import storage
from pipeline.averaging import average_of, fastest_precision, use_precision
from pipeline.config import CONFIGS
from pipeline.console import progress, say
from pipeline.geometry import averaging_transforms, reach
from pipeline.network import ENSEMBLE_SUFFIX, Ensemble, load_networks, read_card, save_ensemble, write_card
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.training.score import score, score_in_words
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, joined, load_tree

HELD_OUT = 100
"""How many of the challenge's galaxies, the last ones, are never trained on."""

TEACHERS = (1, 2)
"""Seeds of the two teachers, whose answers the last network learns for galaxies without votes."""

LIMITS = (
    "Trained on the votes for 783 galaxies: answers that few volunteers gave (odd features, arm counts, "
    "bulges of edge-on disks) are learnt poorly.",
    "Knows SDSS colour pictures. On other cameras, depths or colour mappings, Hubble's among them, its "
    "answers are extrapolations that nobody has scored.",
    "Saw next to no stars or artifacts, so it doesn't find them; clean the input first.",
)
DATA_NAME = (
    "Galaxy Zoo 2 votes for 400 galaxies of the Galaxy Challenge (Kaggle 2014) and 383 of Stripe 82, answers "
    "of two teachers for 3,000 more, and pre-training on EFIGI and Galaxy Zoo 1; all SDSS images"
)

_AT_ONCE = 64


def main() -> None:
    """Make the weights, in as many steps as are still to be done."""
    data, out, *options = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2]), *sys.argv[3:]
    tree = load_tree()
    labelled = challenge(data, tree)
    voted, held_out = labelled[:-HELD_OUT], labelled[-HELD_OUT:]
    deep, weak, kinds = stripe_82(data, tree), largest_answers(data), galaxy_zoo_1(data)
    every, trees = [(voted, 3.0), (weak, 0.7), (deep, 2.0), (kinds, 1.0)], [VOTES, KINDS, LARGEST]
    if "--without-efigi" not in options:
        every, trees = [*every, (efigi(data), 1.5)], [VOTES, EFIGI, KINDS, LARGEST]
    write_labels(f"{out}/pretraining.csv", every, joined(*(load_tree(path) for path in trees)))
    common: dict[str, Any] = {"data": out, "output": out}
    train_one(
        TrainConfig(
            **common,
            name="pretraining",
            labels="pretraining.csv",
            tree=tuple(trees),
            recipe=_recipe("pretraining"),
        )
    )
    votes = [(deep, 0.5), (voted, 1.0), (held_out, 1.0)]
    write_labels(f"{out}/votes.csv", votes, tree)
    common |= {"init": f"{out}/pretraining.safetensors", "held_out": HELD_OUT}
    teachers = {}
    for seed, name in zip(TEACHERS, _teachers(), strict=True):
        recipe = _recipe("fine_tuning")
        train_one(TrainConfig(**common, name=name, labels="votes.csv", seed=seed, recipe=recipe))
        teachers[f"{name}.safetensors"] = read_card(f"{out}/{name}.safetensors").sha256
    ensemble = f"{out}/teachers{ENSEMBLE_SUFFIX}"
    save_ensemble(ensemble, Ensemble(name="teachers", members=teachers))
    if not storage.exists(f"{out}/student.csv"):
        without = pd.concat([weak, kinds], ignore_index=True)[["object_id", "image"]]
        write_labels(f"{out}/student.csv", [(answered(without, ensemble, tree, out), 0.5), *votes], tree)
    unseen = read_labels(out, tree, "votes.csv")[-HELD_OUT:]
    say(f"The teachers together: {score_in_words(score(load_networks(ensemble, tree), unseen))}")
    train_one(
        TrainConfig(
            **common,
            labels="student.csv",
            recipe=_recipe("distillation"),
            seed=3,
            data_name=DATA_NAME,
            not_good_for=LIMITS,
        )
    )
    weights = f"{out}/compact.safetensors"
    card = read_card(weights)
    write_card(weights, card.model_copy(update={"recipe": card.recipe | {"steps_before": _steps(out)}}))


def _steps(out: str) -> list[dict[str, Any]]:
    """Data, recipe and score of all networks on the way."""
    steps = []
    for name in ("pretraining", *_teachers()):
        card = read_card(f"{out}/{name}.safetensors")
        score = {key: value for key, value in card.score.items() if key.startswith("rmse_60")}
        steps.append({"tree": card.tree, "data": card.data, "recipe": card.recipe, "score": score})
    return steps


def _teachers() -> list[str]:
    return [f"teacher-{seed}" for seed in TEACHERS]


def answered(galaxies: pd.DataFrame, ensemble: str, tree: DecisionTree, out: str) -> pd.DataFrame:
    """Galaxies with an ensemble's answers, averaged over 60 transforms, in the place of votes."""
    write_labels(f"{out}/unlabelled.csv", [(galaxies, 1.0)], tree)
    labels = read_labels(out, tree, "unlabelled.csv")
    networks = load_networks(ensemble, tree)
    average = average_of(*networks, dtype=use_precision(fastest_precision("cpu")))
    answers = np.empty((len(labels), tree.answer_count), np.float32)
    with progress("Answers of the teachers", len(labels)) as advance:
        regions = load_galaxies(labels, Cut(reach(zoom=min(t.zoom for t in averaging_transforms())))).regions
        for rows, batch in regions.by_side(_AT_ONCE):
            answers[rows.numpy()] = average(batch).numpy()
            advance(len(rows))
    return galaxies.assign(**dict(zip(tree.columns, answers.T, strict=True)))


def _recipe(name: str) -> str:
    return str(CONFIGS / "recipes" / f"{name}.yaml")


if __name__ == "__main__":
    main()
