"""What more labels are worth.

    python -m tests.benchmarks.learning_curve DATA LABELS START OUT [EXAMPLES]

LABELS is what `jobs.recipes.labels` wrote of DATA; START are weights that learnt the votes of its first 400
galaxies, or of none. From them networks learn from ever more galaxies, those 400 among them, by one recipe
and from EXAMPLES examples (20,000) each, and are scored over 60 transforms on held-out galaxies. A power law,
RMSE(n) = a + b n^-c, is fitted to the scores, and to those of bootstrap samples; at the challenge's whole
training set it is an extrapolation. The network of 3,200 labels is also scored on clean galaxies, whose
volunteers agreed, that it didn't learn from: never to be compared with scores on fair ones.
OUT gets ``learning_curve.json`` and ``learning_curve.svg``; run again, it continues.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from jobs.recipes.tables import more_challenge, write_labels
from pipeline import storage
from pipeline.evaluation import rmse, rmse_interval
from pipeline.network import load_network
from pipeline.training import read_labels
from pipeline.training.score import answers_for
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, load_tree

COUNTS = (400, 800, 1600, 3200)
"""And all."""

WHOLE_SET = 55_421
"""Galaxies that the paper's networks learnt from."""

_DRAWS = 500
_EXPONENTS = np.linspace(0.05, 1.5, 59)


def power_law(counts: ArrayLike, floor: float, scale: float, exponent: float) -> NDArray[np.float64]:
    """Error after learning from so many galaxies."""
    return np.asarray(floor + scale * np.asarray(counts, np.float64) ** -exponent)


def fitted(counts: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Floor, scale and exponent of the power law nearest to scores, by least squares for each exponent."""
    fits = []
    for exponent in _EXPONENTS:
        design = np.stack([np.ones(np.size(counts)), np.asarray(counts, np.float64) ** -exponent], axis=1)
        (floor, scale), residual = nnls(design, np.asarray(scores, np.float64))
        fits.append((residual, floor, scale, exponent))
    return np.asarray(min(fits)[1:])


def main() -> None:
    """Train, score, fit and draw."""
    data, folder, start, output, *rest = sys.argv[1:]
    data, folder, out = storage.absolute(data), storage.absolute(folder), Path(storage.absolute(output))
    examples = int(rest[0]) if rest else 20_000
    out.mkdir(parents=True, exist_ok=True)
    tree = load_tree()
    unseen = read_labels(folder, tree, "unseen.csv")
    table = pd.read_csv(io.BytesIO(storage.read_bytes(f"{folder}/votes.csv")), dtype={"object_id": str})
    table["image"] = [
        image if image.startswith("/") else storage.join(folder, image) for image in table["image"]
    ]
    # More labels include the fewer, and all include those that START knows.
    known, others = table[: COUNTS[0]], table[COUNTS[0] : -len(unseen)]
    voted = pd.concat([known, others.sample(frac=1, random_state=0)])
    recipe = {
        "name": "learning curve",
        "seed": 0,
        "examples": examples,
        "batch_size": 50,
        "viewpoints": 4,
        "optimizer": {"kind": "adamw", "weight_decay": 0.05},
        "schedule": {"kind": "one_cycle", "highest": 0.001, "warm_up": 0.05},
        "average_decay": 0.99,
    }
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    answers = {}
    for count in (*COUNTS, len(voted)):
        pd.concat([voted[:count], table[-len(unseen) :]]).to_csv(out / f"{count}.csv", index=False)
        settings = TrainConfig(
            data=str(out),
            output=str(out),
            name=f"curve-{count}",
            labels=f"{count}.csv",
            recipe=str(out / "recipe.yaml"),
            init=storage.absolute(start),
            held_out=len(unseen),
            evaluate_every=examples,
            companions=False,
        )
        train_one(settings)
        network = load_network(f"{out}/curve-{count}.safetensors", tree)[0]
        answers[count] = answers_for([network], unseen)[0].numpy()
        print(count, rmse(answers[count], unseen.votes), flush=True)
    counts = list(answers)
    scores = {
        count: (rmse(each, unseen.votes), *rmse_interval(each, unseen.votes))
        for count, each in answers.items()
    }
    random = np.random.default_rng(0)
    rows = random.integers(0, len(unseen), (_DRAWS, len(unseen)))
    drawn = [
        fitted(counts, [rmse(each[row], unseen.votes[row]) for each in answers.values()]) for row in rows
    ]
    law = fitted(counts, [score for score, *_ in scores.values()])
    whole = [float(power_law(WHOLE_SET, *each)) for each in drawn]
    figures = {
        "examples": examples,
        "scores": scores,
        "law": dict(zip(("floor", "scale", "exponent"), law.tolist(), strict=True)),
        "whole_set": float(power_law(WHOLE_SET, *law)),
        "whole_set_interval": np.quantile(whole, [0.025, 0.975]).tolist(),
        "clean": clean_score(data, out, voted[: COUNTS[-1]], tree),
    }
    (out / "learning_curve.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    draw(scores, law, out / "learning_curve.svg")


def clean_score(data: str, out: Path, learnt: pd.DataFrame, tree: DecisionTree) -> tuple[float, ...]:
    """RMSE, with its interval, on 500 clean galaxies with all votes that weren't learnt from."""
    galaxies = more_challenge(data, tree)
    galaxies = galaxies[(galaxies["sample"] == "clean") & galaxies["bar_yes"].notna()]
    others = galaxies[~galaxies["object_id"].isin(learnt["object_id"])][:500]
    write_labels(f"{out}/clean.csv", [others], tree)
    labels = read_labels(str(out), tree, "clean.csv")
    network = load_network(f"{out}/curve-{len(learnt)}.safetensors", tree)[0]
    answers = answers_for([network], labels)[0].numpy()
    return rmse(answers, labels.votes), *rmse_interval(answers, labels.votes)


def draw(scores: dict[int, tuple[float, float, float]], law: NDArray[np.float64], path: Path) -> None:
    """Scores with their intervals, and the law through them."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    counts, values = np.array(list(scores)), np.array(list(scores.values()))
    errors = [values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]
    axes.errorbar(counts, values[:, 0], yerr=errors, fmt="o", capsize=3, label="measured, 95 % intervals")
    along = np.geomspace(counts[0], WHOLE_SET, 100)
    axes.plot(along, power_law(along, *law), "--", label="power law")
    axes.set(xscale="log", xlabel="galaxies with votes", ylabel="RMSE over 37 answers, 60 transforms")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
