"""Frames and labels told apart on Stripe 82: ``python -m tests.benchmarks.frames DATA WEIGHTS OUT``.

Stripe 82's cutouts are of one width in arcseconds, so each galaxy's frame is measured in its picture: by its
half-light radius or by its Petrosian 90 % radius. Its people voted on deeper images than the network sees.
Scored are, in either frame, WEIGHTS as they are (they must not have learnt from Stripe 82), and with a last
layer that learns Stripe 82's votes: each fifth is answered by a layer that learnt from the others. Also how
many of the votes the 90 % intervals hold: those that come with WEIGHTS, and those that are fitted to Stripe
82's own votes, each tried on a fifth that they weren't fitted to. DATA holds the folder ``stripe82``; OUT
gets ``frames.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from jobs.recipes.tables import FRAMES, stripe_82, write_labels
from pipeline import storage
from pipeline.confidence import question_coverage
from pipeline.confidence.calibration import asked_of
from pipeline.confidence.document import confidence_uri, read_confidence
from pipeline.evaluation import rmse, rmse_difference, rmse_interval
from pipeline.network import check_model, load_network
from pipeline.training import read_labels
from pipeline.training.confidence import crossed_coverage
from pipeline.training.score import answers_for
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, load_tree

FOLDS = 5
LAST_LAYER = {
    "name": "last layer",
    "seed": 0,
    "examples": 4_000,
    "batch_size": 50,
    "viewpoints": 8,
    "optimizer": {"kind": "adamw", "weight_decay": 0.05},
    "schedule": {"kind": "one_cycle", "highest": 0.001, "warm_up": 0.05},
    "average_decay": 0.99,
    "trunk_rate": 0.0,
}


def answers_of(weights: str, table: str, out: str, tree: DecisionTree) -> NDArray[np.float32]:
    """Answers over 60 transforms for a label table of a folder."""
    answers = answers_for([load_network(weights, tree)[0]], read_labels(out, tree, table))[0]
    return np.asarray(answers.numpy())


def answers_after_learning(
    galaxies: pd.DataFrame, weights: str, name: str, out: str, tree: DecisionTree
) -> NDArray[np.float32]:
    """Answers of last layers, each for the fifth of the galaxies that it didn't learn from."""
    recipe = Path(out) / "last_layer.yaml"
    recipe.write_text(yaml.safe_dump(LAST_LAYER))
    folds = np.arange(len(galaxies)) % FOLDS
    answers = np.empty((len(galaxies), tree.answer_count), np.float32)
    for fold in range(FOLDS):
        table = f"{name}-{fold}.csv"
        write_labels(f"{out}/{table}", [galaxies[folds != fold], galaxies[folds == fold]], tree)
        settings = TrainConfig(
            data=out,
            output=out,
            labels=table,
            name=f"{name}-{fold}",
            recipe=str(recipe),
            init=weights,
            held_out=int((folds == fold).sum()),
            companions=False,
        )
        train_one(settings)
        own = f"{name}-{fold}-own.csv"
        write_labels(f"{out}/{own}", [galaxies[folds == fold]], tree)
        answers[folds == fold] = answers_of(f"{out}/{name}-{fold}.safetensors", own, out, tree)
    return answers


def coverage(
    weights: str, answers: NDArray[np.float32], votes: NDArray[np.float32], tree: DecisionTree
) -> dict[str, dict[str, float]]:
    """Share of the votes within the intervals of weights, by question, and how many were asked it."""
    concentrations = read_confidence(weights, check_model(weights, tree)).concentrations
    found = {}
    for question in tree.questions:
        of = asked_of(tree, question.key, votes.astype(np.float64))
        held = question_coverage(tree, question.key, concentrations, answers[of], votes[of])
        found[question.key] = {"galaxies": int(of.sum()), "held": held}
    return found


def main() -> None:
    """Measure, and write the figures."""
    data, weights, out = (storage.absolute(word) for word in sys.argv[1:4])
    tree = load_tree()
    figures: dict[str, object] = {}
    kept: dict[str, NDArray[np.float32]] = {}
    votes = np.empty(0, np.float32)
    for frame in FRAMES:
        galaxies = stripe_82(data, tree, frame).assign(volunteers=1.0)
        write_labels(f"{out}/{frame}.csv", [galaxies], tree)
        votes = read_labels(out, tree, f"{frame}.csv").votes
        kept[frame] = answers_of(weights, f"{frame}.csv", out, tree)
        kept[f"{frame}, votes learnt"] = answers_after_learning(galaxies, weights, frame, out, tree)
    for name, answers in kept.items():
        figures[name] = {"rmse": rmse(answers, votes), "interval": rmse_interval(answers, votes)}
        print(name, figures[name])
    means = np.broadcast_to(np.nanmean(votes, axis=0), votes.shape)
    figures["mean votes"] = rmse(means, votes)
    figures["petrosian less half_light"] = rmse_difference(kept["petrosian"], kept["half_light"], votes)
    if storage.exists(confidence_uri(weights)):
        figures["coverage"] = coverage(weights, kept["half_light"], votes, tree)
    figures["coverage of intervals fitted to these votes"] = {
        name: crossed_coverage(tree, answers.astype(np.float64), votes.astype(np.float64))
        for name, answers in kept.items()
    }
    Path(f"{out}/frames.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
