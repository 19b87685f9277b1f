"""Five-fold cross-validation on fair galaxies: ``python -m tests.benchmarks.fair_folds LABELS START OUT``.

LABELS is what `jobs.recipes.labels` wrote. Its held-out galaxies are fair: drawn as the Galaxy Zoo challenge
draws them. Five networks continue from START, which must not have learnt from them, each with all other
galaxies and four fifths of these; each answers, over 60 transforms, for the last fifth. The error of START is
beside it: the difference is what a few hundred fair galaxies more are worth. Writes ``fair_folds.json`` into
OUT; run again, it continues.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from pipeline import storage
from pipeline.evaluation import rmse, rmse_difference, rmse_interval
from pipeline.network import load_network
from pipeline.training import read_labels
from pipeline.training.score import answers_for
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import load_tree

FOLDS, EXAMPLES = 5, 4_000
RECIPE = {
    "name": "fair folds",
    "seed": 1,
    "examples": EXAMPLES,
    "batch_size": 50,
    "viewpoints": 4,
    "optimizer": {"kind": "adamw", "weight_decay": 0.05},
    "schedule": {"kind": "one_cycle", "highest": 0.0002, "warm_up": 0.05},
    "average_decay": 0.99,
}


def main() -> None:
    """Train the five networks, score and write."""
    folder, start, out = (storage.absolute(word) for word in sys.argv[1:4])
    tree = load_tree()
    unseen = read_labels(folder, tree, "unseen.csv")
    table = pd.read_csv(io.BytesIO(storage.read_bytes(f"{folder}/votes.csv")), dtype={"object_id": str})
    table["image"] = [
        image if image.startswith("/") else storage.join(folder, image) for image in table["image"]
    ]
    learnt, fair = table[: -len(unseen)], table[-len(unseen) :]
    Path(out).mkdir(parents=True, exist_ok=True)
    (recipe := Path(out) / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    fold = np.arange(len(fair)) % FOLDS
    before = answers_for([load_network(start, tree)[0]], unseen)[0].numpy()
    after = np.empty_like(before)
    for number in range(FOLDS):
        inside = fold == number
        labels = f"{number}.csv"
        pd.concat([learnt, fair[~inside], fair[inside]]).to_csv(f"{out}/{labels}", index=False)
        settings = TrainConfig(
            data=out,
            output=out,
            name=f"fold-{number}",
            labels=labels,
            recipe=str(recipe),
            init=start,
            held_out=int(inside.sum()),
            evaluate_every=EXAMPLES,
            companions=False,
        )
        train_one(settings)
        network = load_network(f"{out}/fold-{number}.safetensors", tree)[0]
        after[inside] = answers_for([network], unseen[number::FOLDS])[0].numpy()
    figures = {
        "before": [rmse(before, unseen.votes), *rmse_interval(before, unseen.votes)],
        "five-fold": [rmse(after, unseen.votes), *rmse_interval(after, unseen.votes)],
        "difference": rmse_difference(after, before, unseen.votes),
    }
    (Path(out) / "fair_folds.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
