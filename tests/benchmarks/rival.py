"""A network of another kind, same galaxies: ``python -m tests.benchmarks.rival LABELS OUT [MODEL [N]]``.

LABELS is what `jobs.recipes.labels` wrote. MODEL is ``imagenet``, the teacher of the weights that come with
the project (`jobs.recipes.teacher`), or a network of timm's from scratch (``convnext_atto``), which isn't
among the project's dependencies: ``pip install timm``. Both see the same picture, learn from N examples
(100,000) by the same recipe, and are averaged over 60 transforms. OUT gets the training as it goes, its
answers for the unseen galaxies, and a line in ``rival.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from jobs.recipes.teacher import Classifier, answers_of, efficientnet, last_layer, train_classifier
from pipeline import storage
from pipeline.evaluation import rmse, rmse_interval
from pipeline.geometry import averaging_transforms
from pipeline.training import read_labels
from pipeline.tree import load_tree


def untrained(name: str, answers: int) -> nn.Module:
    """A network of timm's that knows nothing."""
    import timm

    trunk: Any = timm.create_model(name, num_classes=0, drop_path_rate=0.1)
    return nn.Sequential(trunk, last_layer(trunk.num_features, answers))


def main() -> None:
    """Train, score, and add the line."""
    folder, out = storage.absolute(sys.argv[1]), Path(storage.absolute(sys.argv[2]))
    name = sys.argv[3] if len(sys.argv) > 3 else "imagenet"
    examples = int(sys.argv[4]) if len(sys.argv) > 4 else 100_000
    out.mkdir(parents=True, exist_ok=True)
    tree = load_tree()
    torch.manual_seed(0)
    made = efficientnet(tree.answer_count) if name == "imagenet" else untrained(name, tree.answer_count)
    unseen, labels = (read_labels(folder, tree, f"{table}.csv") for table in ("unseen", "votes"))
    started = time.perf_counter()
    average = train_classifier(
        Classifier(made, tree), labels[: len(labels) - len(unseen)], examples, 0, out / f"{name}.pt"
    )
    rate = examples / (time.perf_counter() - started)
    answers = answers_of(average, unseen, averaging_transforms())
    np.save(out / f"{name}.npy", answers.numpy())
    line = {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in average.parameters()),
        "examples": examples,
        "examples_per_second": rate,
        "rmse": rmse(answers, unseen.votes),
        "interval": rmse_interval(answers, unseen.votes),
        "last_100": rmse(answers[-100:], unseen.votes[-100:]),
    }
    path = out / "rival.json"
    lines = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*lines, line], indent=1) + "\n")
    print(json.dumps(line, indent=1))


if __name__ == "__main__":
    main()
