"""Recipes compared on the same unseen galaxies.

    python -m tests.benchmarks.recipes LABELS START OUT [NAME …]

LABELS is what `jobs.recipes.labels` wrote, with ``student.csv`` of `jobs.recipes.weights` beside it. All
recipes continue from the weights START, with the same seed, number of examples and four viewpoints of each,
and are scored over 60 transforms on the held-out galaxies. Differences are paired, galaxy by galaxy, so that
their intervals are narrower than those of the scores. Writes ``recipes.json`` and ``recipes.md`` into OUT;
run again, it continues. With NAMEs only these.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from jobs.recipes.labels import TREES
from jobs.recipes.tables import VOTES
from pipeline import storage
from pipeline.evaluation import rmse, rmse_difference, rmse_interval
from pipeline.network import load_network
from pipeline.training import read_labels
from pipeline.training.score import answers_for
from pipeline.training.weights import TrainConfig, train_one, tree_of
from pipeline.tree import load_tree

EXAMPLES = 10_000


def as_they_are(table: pd.DataFrame) -> pd.DataFrame:
    """All rows, with the weights that they have."""
    return table


def alike(table: pd.DataFrame) -> pd.DataFrame:
    """All rows, each counting as much."""
    return table.assign(volunteers=1.0)


def half_weighted(table: pd.DataFrame) -> pd.DataFrame:
    """Weights half of the way, by the root, from all alike to those of a fair sample."""
    return table.assign(volunteers=np.sqrt(table["volunteers"]))


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Galaxies with votes on all questions."""
    return table[table["bar_yes"].notna()]


@dataclass(frozen=True)
class Recipe:
    """What is done otherwise than by the first recipe.

    Attributes
    ----------
    words
        What it is, for the table.
    chosen
        Makes the rows to train on from those of the label table.
    labels
        The label table.
    settings
        Of the recipe's file.
    """

    words: str
    chosen: Callable[[pd.DataFrame], pd.DataFrame] = as_they_are
    labels: str = "votes.csv"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tree(self) -> tuple[str, ...]:
        """Trees whose questions are learnt."""
        return TREES if self.labels == "pretraining.csv" else (VOTES,)


RECIPES = {
    "weighted": Recipe("weights of a fair sample"),
    "alike": Recipe("every galaxy counts as much", alike),
    "half_weighted": Recipe("half of the way between them", half_weighted),
    "complete": Recipe("only galaxies with all 37 answers", complete),
    "weak_labels": Recipe("with Galaxy Zoo 1's classes and largest answers", labels="pretraining.csv"),
    "eight": Recipe("eight viewpoints", settings={"viewpoints": 8}),
    "wider": Recipe(
        "stronger augmentation: shifts of 8 pixels, zooms to 1.5",
        settings={"augmentation": {"translation": 8, "zoom": 1.5}},
    ),
    "decayed": Recipe(
        "four times the weight decay", settings={"optimizer": {"kind": "adamw", "weight_decay": 0.2}}
    ),
    "less_dropout": Recipe("a dropout of 0.1 in place of 0.5", settings={"dropout": 0.1}),
    "teacher": Recipe("0.8 of each vote fraction is a teacher's answer", labels="student.csv"),
    "teacher_less_dropout": Recipe(
        "a teacher's answers and a dropout of 0.1", labels="student.csv", settings={"dropout": 0.1}
    ),
}


def main() -> None:
    """Train what is missing, score, compare and write the table."""
    labels, start, out, *names = sys.argv[1:]
    folder, output = storage.absolute(labels), Path(storage.absolute(out))
    output.mkdir(parents=True, exist_ok=True)
    tree = load_tree()
    unseen = read_labels(folder, tree, "unseen.csv")
    answers = {}
    for name in names or RECIPES:
        weights = train(name, folder, storage.absolute(start), output, len(unseen))
        network, _ = load_network(weights, tree_of(RECIPES[name].tree))
        # The votes' tree is the first one.
        answers[name] = answers_for([network], unseen)[0].numpy()[:, : tree.answer_count]
    answers["together"] = np.mean(list(answers.values()), axis=0)
    first = next(iter(answers.values()))
    rows = {}
    for name, each in answers.items():
        difference = rmse_difference(each, first, unseen.votes)
        rows[name] = {
            "words": RECIPES[name].words if name in RECIPES else "all of them together",
            "rmse": rmse(each, unseen.votes),
            "interval": rmse_interval(each, unseen.votes),
            "last_100": rmse(each[-100:], unseen.votes[-100:]),
            "difference": difference[0],
            "difference_interval": difference[1:],
        }
    (output / "recipes.json").write_text(json.dumps(rows, indent=1) + "\n")
    (output / "recipes.md").write_text(in_words(rows))
    print(in_words(rows))


def train(name: str, folder: str, start: str, output: Path, unseen: int) -> str:
    """Train by one recipe, unless that is done; the path of its weights."""
    recipe = RECIPES[name]
    table = pd.read_csv(io.BytesIO(storage.read_bytes(f"{folder}/{recipe.labels}")), dtype={"object_id": str})
    chosen = pd.concat([recipe.chosen(table[:-unseen]), table[-unseen:]], ignore_index=True)
    chosen["image"] = [
        image if image.startswith("/") else storage.join(folder, image) for image in chosen["image"]
    ]
    chosen.to_csv(output / f"{name}.csv", index=False)
    cooling: dict[str, Any] = {
        "name": name,
        "seed": 1,
        "examples": EXAMPLES,
        "batch_size": 50,
        "viewpoints": 4,
        "optimizer": {"kind": "adamw", "weight_decay": 0.05},
        "schedule": {"kind": "one_cycle", "highest": 0.001, "warm_up": 0.05},
        "average_decay": 0.99,
    }
    path = output / f"{name}.yaml"
    path.write_text(yaml.safe_dump(cooling | recipe.settings, sort_keys=False))
    settings = TrainConfig(
        data=str(output),
        output=str(output),
        name=name,
        labels=f"{name}.csv",
        tree=recipe.tree,
        recipe=str(path),
        init=start,
        held_out=unseen,
        evaluate_every=EXAMPLES,
        companions=False,
    )
    train_one(settings)
    return f"{output}/{name}.safetensors"


def in_words(rows: dict[str, dict[str, Any]]) -> str:
    """The table, in Markdown."""
    lines = ["| recipe | RMSE | last 100 | against the first |", "|---|---|---|---|"]
    for row in rows.values():
        low, high = row["interval"]
        below, above = row["difference_interval"]
        lines.append(
            f"| {row['words']} | {row['rmse']:.4f} ({low:.4f} to {high:.4f}) | {row['last_100']:.4f} | "
            f"{row['difference']:+.4f} ({below:+.4f} to {above:+.4f}) |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
