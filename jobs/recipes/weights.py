"""The weights that come with the project: ``make weights DATA=DIR``, or ``GPU=1 PACK=DIR`` on a bare machine.

    python -m jobs.recipes.weights OUT [--share S]

OUT holds what `jobs.recipes.labels` or `jobs.recipes.pack` wrote, and gets the weights. Four steps, each of
which goes on where it was stopped:

1. A viewpoint network learns all that people said of 12,000 galaxies, at a constant rate: eight of sixteen
   viewpoints at a time, each galaxy with the labels that it has.
2. A teacher, another kind of network that learnt ImageNet before, learns Galaxy Zoo 2's votes
   (`jobs.recipes.teacher`; ``pip install '.[teacher]'``).
3. Its mean answers over a few transforms take the place of votes where a galaxy has none, and 0.8 of their
   place where it has some: votes of forty people are noisy.
4. From the first network the one that is kept cools down on these, with next to no dropout.

No network sees the last galaxies of the tables: by them weights are scored, and how sure they are is learnt.
``--share`` shows so much of the recipes' examples (0.001 tries that everything works).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from jobs.recipes.labels import TREES
from jobs.recipes.teacher import Classifier, answers_of, efficientnet, train_classifier
from jobs.recipes.teaching import taught_votes
from pipeline import storage
from pipeline.config import CONFIGS, load_config
from pipeline.geometry import averaging_transforms
from pipeline.network import read_card, write_card
from pipeline.training import read_labels
from pipeline.training.recipe import Recipe
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, load_tree

TAUGHT = 0.8
"""Share of the teacher's answer in what is learnt of a galaxy with votes."""

TEACHER_EXAMPLES, TEACHER_SEED = 100_000, 1
_VIEWS = (20, 27, 29, 34)
"""Those of the 60 transforms under which the teacher looks: its frames as they are, turned and mirrored."""

LIMITS = (
    "Knows SDSS colour pictures. On other cameras, depths or colour mappings, Hubble's among them, its "
    "answers are extrapolations that nobody has scored.",
    "Saw next to no stars or artifacts, so it takes them for galaxies; with rejection=true the catalogue "
    "flags most of them.",
)
DATA_NAME = (
    "Galaxy Zoo 2 votes for 9,870 galaxies of the Galaxy Challenge (Kaggle 2014), 4,000 of them on five "
    "questions; Galaxy Zoo 1's classes of 1,500; answers of teachers for 2,028 more; all SDSS images"
)


def main() -> None:
    """Make the weights, in as many steps as are still to be done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    out, tree = storage.absolute(options.out), load_tree()
    common: dict[str, Any] = {"data": out, "output": out, "held_out": len(_table(f"{out}/unseen.csv"))}
    teacher_examples = _rounded(options.share * TEACHER_EXAMPLES, 50)
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
    if not storage.exists(f"{out}/student.csv"):
        write_student(out, tree, teacher_examples)
    train_one(
        TrainConfig(
            **common,
            **_recipe("distillation", options.share),
            labels="student.csv",
            data_name=DATA_NAME,
            not_good_for=LIMITS,
        )
    )
    weights = f"{out}/compact.safetensors"
    card = read_card(weights)
    write_card(
        weights,
        card.model_copy(update={"recipe": card.recipe | {"steps_before": _steps(out, teacher_examples)}}),
    )


def write_student(out: str, tree: DecisionTree, examples: int) -> None:
    """Train the teacher, and write the label table of the last step: votes and its answers."""
    columns, unseen = list(tree.columns), _table(f"{out}/unseen.csv")
    voted, without = _table(f"{out}/votes.csv")[: -len(unseen)], _table(f"{out}/unlabelled.csv")
    torch.manual_seed(TEACHER_SEED)
    network = Classifier(efficientnet(tree.answer_count), tree)
    network = network.to("cuda" if torch.cuda.is_available() else "cpu")
    labels = read_labels(out, tree, "votes.csv")[: len(voted)]
    kept = Path(out) / "teacher.pt"
    teacher = train_classifier(network, labels, examples, TEACHER_SEED, kept)
    transforms = [averaging_transforms()[view] for view in _VIEWS]
    learnt = taught_votes(tree, voted[columns], answers_of(teacher, labels, transforms), TAUGHT)
    answers = answers_of(teacher, read_labels(out, tree, "unlabelled.csv"), transforms)
    answered = taught_votes(tree, without[columns], answers, 1.0)
    mixed = voted.assign(**pd.DataFrame(learnt, columns=columns))
    alone = without.assign(volunteers=0.5, **pd.DataFrame(answered, columns=columns))
    table = pd.concat([mixed, alone, unseen], ignore_index=True)
    storage.write_bytes(f"{out}/student.csv", table.to_csv(index=False).encode())


def _steps(out: str, teacher_examples: int) -> list[dict[str, Any]]:
    """Data and recipe of the networks on the way."""
    card = read_card(f"{out}/pretraining.safetensors")
    teacher = {
        "network": "EfficientNet-Lite0, with weights that learnt ImageNet",
        "data": {"name": "votes.csv"},
        "recipe": {"examples": teacher_examples, "seed": TEACHER_SEED, "taught": TAUGHT},
    }
    return [{"tree": card.tree, "data": card.data, "recipe": card.recipe}, teacher]


def _rounded(examples: float, batch: int) -> int:
    return max(1, round(examples / batch)) * batch


def _recipe(name: str, share: float) -> dict[str, Any]:
    """Settings of a training by one of the project's recipes, with a share of its examples."""
    path = str(CONFIGS / "recipes" / f"{name}.yaml")
    recipe = load_config(Recipe, path)
    return {"recipe": path, "examples": _rounded(share * recipe.examples, recipe.batch_size)}


def _table(uri: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(storage.read_bytes(uri)), dtype={"object_id": str})


if __name__ == "__main__":
    main()
