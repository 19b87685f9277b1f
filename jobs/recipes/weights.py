"""The weights that come with the project: ``make weights DATA=DIR``, or ``GPU=1 PACK=DIR`` on a bare machine.

    python -m jobs.recipes.weights OUT [--share S]

OUT holds what `jobs.recipes.labels` or `jobs.recipes.pack` wrote, and gets the weights. Four steps, each of
which goes on where it was stopped:

1. One network learns all that people said of 12,000 galaxies, at a constant rate: eight of sixteen viewpoints
   at a time, each galaxy with the labels that it has.
2. From there teachers, who differ in their seeds, cool down on Galaxy Zoo 2's votes alone.
3. Their mean answers, over 60 transforms, take the place of votes where a galaxy has none, and half their
   place where it has some: votes of forty people are noisy.
4. From the first network again, the one that is kept cools down on these.

No network sees the last galaxies of the tables: by them weights are scored, and how sure they are is learnt.
``--share`` shows so much of the recipes' examples (0.001 tries that everything works).
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import numpy as np
import pandas as pd

from jobs.recipes.labels import TREES
from jobs.recipes.teaching import taught_votes
from pipeline import storage
from pipeline.averaging import average_of, fastest_precision, use_precision
from pipeline.config import CONFIGS, load_config
from pipeline.console import progress, say
from pipeline.geometry import averaging_transforms, reach
from pipeline.network import ENSEMBLE_SUFFIX, Ensemble, load_networks, read_card, save_ensemble, write_card
from pipeline.training import Cut, load_galaxies, read_labels
from pipeline.training.recipe import Recipe
from pipeline.training.score import score, score_in_words
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, load_tree

TEACHERS = (1, 2, 3)
"""Seeds of the teachers."""

TAUGHT = 0.5
"""Share of a teacher's answer in what is learnt of a galaxy with votes."""

LIMITS = (
    "Knows SDSS colour pictures. On other cameras, depths or colour mappings, Hubble's among them, its "
    "answers are extrapolations that nobody has scored.",
    "Saw next to no stars or artifacts, so it doesn't find them; clean the input first.",
)
DATA_NAME = (
    "Galaxy Zoo 2 votes for 9,870 galaxies of the Galaxy Challenge (Kaggle 2014), 4,000 of them on five "
    "questions; Galaxy Zoo 1's classes of 1,500; answers of teachers for 2,028 more; all SDSS images"
)

_AT_ONCE = 64


def main() -> None:
    """Make the weights, in as many steps as are still to be done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    out, tree = storage.absolute(options.out), load_tree()
    common: dict[str, Any] = {"data": out, "output": out, "held_out": len(_table(f"{out}/unseen.csv"))}
    train_one(
        TrainConfig(
            **common,
            **_recipe("pretraining", options.share),
            name="pretraining",
            labels="pretraining.csv",
            tree=TREES,
            companions=False,
        )
    )
    common |= {"init": f"{out}/pretraining.safetensors"}
    for seed, name in zip(TEACHERS, _teachers(), strict=True):
        recipe = _recipe("fine_tuning", options.share)
        train_one(TrainConfig(**common, **recipe, name=name, labels="votes.csv", seed=seed, companions=False))
    teachers = _together(out)
    unseen = read_labels(out, tree, "unseen.csv")
    say(f"The teachers together: {score_in_words(score(load_networks(teachers, tree), unseen))}")
    if not storage.exists(f"{out}/student.csv"):
        write_student(out, teachers, tree)
    train_one(
        TrainConfig(
            **common,
            **_recipe("distillation", options.share),
            labels="student.csv",
            seed=len(TEACHERS) + 1,
            data_name=DATA_NAME,
            not_good_for=LIMITS,
        )
    )
    weights = f"{out}/compact.safetensors"
    card = read_card(weights)
    write_card(weights, card.model_copy(update={"recipe": card.recipe | {"steps_before": _steps(out)}}))


def write_student(out: str, teachers: str, tree: DecisionTree) -> None:
    """Write the label table of the last step: votes and the teachers' answers."""
    columns, held_out = list(tree.columns), len(_table(f"{out}/unseen.csv"))
    votes = _table(f"{out}/votes.csv")
    voted, unseen = votes[:-held_out], votes[-held_out:]
    without = _table(f"{out}/unlabelled.csv")
    answers = answers_of(teachers, tree, out, "votes.csv")[: len(voted)]
    learnt = taught_votes(tree, voted[columns], answers, TAUGHT)
    mixed = voted.assign(**pd.DataFrame(learnt, columns=columns))
    alone = without.assign(volunteers=0.5, **answers_of(teachers, tree, out, "unlabelled.csv"))
    table = pd.concat([mixed, alone, unseen], ignore_index=True)
    storage.write_bytes(f"{out}/student.csv", table.to_csv(index=False).encode())


def answers_of(weights: str, tree: DecisionTree, out: str, table: str) -> pd.DataFrame:
    """Answers of weights for the galaxies of a table, averaged over 60 transforms."""
    labels, networks = read_labels(out, tree, table), load_networks(weights, tree)
    average = average_of(*networks, dtype=use_precision(fastest_precision("cpu")))
    answers = np.empty((len(labels), tree.answer_count), np.float32)
    with progress("Answers of the teachers", len(labels)) as advance:
        regions = load_galaxies(labels, Cut(reach(zoom=min(t.zoom for t in averaging_transforms())))).regions
        for rows, batch in regions.by_side(_AT_ONCE):
            answers[rows.numpy()] = average(batch).numpy()
            advance(len(rows))
    return pd.DataFrame(answers, columns=list(tree.columns))


def _together(out: str) -> str:
    """The ensemble of the teachers; the path of its file."""
    path = f"{out}/teachers{ENSEMBLE_SUFFIX}"
    digests = {f"{name}.safetensors": read_card(f"{out}/{name}.safetensors").sha256 for name in _teachers()}
    save_ensemble(path, Ensemble(name="teachers", members=digests))
    return path


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


def _recipe(name: str, share: float) -> dict[str, Any]:
    """Settings of a training by one of the project's recipes, with a share of its examples."""
    path = str(CONFIGS / "recipes" / f"{name}.yaml")
    recipe = load_config(Recipe, path)
    batches = max(1, round(share * recipe.examples / recipe.batch_size))
    return {"recipe": path, "examples": batches * recipe.batch_size}


def _table(uri: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype={"object_id": str})


if __name__ == "__main__":
    main()
