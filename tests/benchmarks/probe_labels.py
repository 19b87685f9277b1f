"""Rings from few labels: ``python -m tests.benchmarks.probe_labels DATA [--fine-tuned NAME=FILE …]``.

DATA holds ``rings`` (`id_str`, `ring`, and a picture each). Ten orders of the galaxies are drawn; of each
the last hundred are judged, and of the others the first 20, 50, 100, 200, 300 are learnt from: by a probe on
embeddings, and, where weights are named, by networks that begin with these (``scratch=`` with none) and learn
the same labels by the recipe for few of them, in as many examples as are asked for. Networks are kept in OUT,
and not trained again. JSON, and a line for each draw on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import CONFIGS
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.representations.gathering import decoded
from pipeline.representations.probe import softmax
from pipeline.representations.probe_fitting import best_strength, regression, score
from pipeline.training import read_labels
from pipeline.training.score import answers_for
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import load_tree
from tests.benchmarks.embedded import embedded

COUNTS = (20, 50, 100, 200, 300)
JUDGED = 100
RECIPE = str(CONFIGS / "recipes" / "few_labels.yaml")
TREE = """\
name: rings
questions:
  - key: ring
    text: Has the galaxy a ring?
    answers:
      - {key: "no", text: "No", next: null}
      - {key: "yes", text: "Yes", next: null}
"""

Shares = NDArray[np.float64]
Learner = Callable[[NDArray[np.int64], NDArray[np.int64], int], Shares]
"""Of rows to learn from, rows to judge and a seed: the shares of both answers, shape (judged, 2)."""


@dataclass(frozen=True)
class Rings:
    """The galaxies: a table as `train` reads it, and targets of shape (n, 2)."""

    table: pd.DataFrame
    targets: Shares

    @property
    def pictures(self) -> list[Path]:
        return [Path(image) for image in self.table["image"]]


def main() -> None:
    """Learn and score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--cache", type=Path, default=Path("out/embedded"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--fine-tuned", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, default=Path("out/few_labels"))
    parser.add_argument("--examples", type=int, default=1_500)
    options = parser.parse_args()
    rings = read_rings(options.data / "rings")
    learners = {"probe": probing(rings, options.weights, options.cache)}
    for name, start in (word.split("=", 1) for word in options.fine_tuned):
        learners[name] = fine_tuning(rings, options.out / name, start or None, options.examples)
    result: dict[str, object] = {
        name: {count: judged(rings, learn, count, options.seeds) for count in COUNTS}
        for name, learn in learners.items()
    }
    print(json.dumps({"judged": JUDGED, "seeds": options.seeds, "labels": result}, indent=1))


def read_rings(folder: Path) -> Rings:
    """The galaxies of a folder with ``rings.csv``."""
    table = pd.read_csv(folder / "rings.csv", dtype={"id_str": str})
    images = [str((folder / "images" / f"{name}.jpg").resolve()) for name in table["id_str"]]
    labels = {"object_id": table["id_str"], "image": images}
    labels |= {"ring_no": 1.0 - table["ring"], "ring_yes": 1.0 * table["ring"]}
    return Rings(pd.DataFrame(labels), np.eye(2)[table["ring"].to_numpy()])


def judged(rings: Rings, learn: Learner, count: int, seeds: int) -> dict[str, dict[str, float]]:
    """Accuracy and AUROC on galaxies that weren't learnt from: their mean over draws, and their spread."""
    scores = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(rings.targets))
        last = order[-JUDGED:]
        scores.append(score(rings.targets[last], learn(order[:count], last, seed)))
        said = f"{count} labels, draw {seed}: {scores[-1].accuracy:.0%} right, AUROC {scores[-1].auroc:.3f}"
        print(said, file=sys.stderr, flush=True)
    return {
        name: {
            "mean": round(float(np.mean([getattr(each, name) for each in scores])), 4),
            "spread": round(float(np.std([getattr(each, name) for each in scores])), 4),
        }
        for name in ("accuracy", "auroc")
    }


def probing(rings: Rings, weights: str, cache: Path) -> Learner:
    """A probe on embeddings."""
    values = decoded(embedded(weights, rings.pictures, cache)).astype(np.float64)

    def learn(rows: NDArray[np.int64], last: NDArray[np.int64], seed: int) -> Shares:
        strength = best_strength(values[rows], rings.targets[rows], seed)
        logits = regression(values[rows], rings.targets[rows], strength).logits(values[last])
        return np.asarray(softmax(logits), np.float64)

    return learn


def fine_tuning(rings: Rings, out: Path, start: str | None, examples: int) -> Learner:
    """A network that learns the labels, its answers averaged over 60 transforms."""
    out.mkdir(parents=True, exist_ok=True)
    (tree_file := out / "rings.yaml").write_text(TREE)
    tree = load_tree(str(tree_file))

    def learn(rows: NDArray[np.int64], last: NDArray[np.int64], seed: int) -> Shares:
        name = f"rings-{len(rows)}-{seed}"
        rings.table.iloc[rows].to_csv(out / f"{name}.csv", index=False)
        rings.table.iloc[last].to_csv(out / f"{name}-judged.csv", index=False)
        train_one(
            TrainConfig(
                data=str(out),
                labels=f"{name}.csv",
                output=str(out),
                name=name,
                tree=str(tree_file),
                recipe=RECIPE,
                seed=seed,
                examples=examples,
                held_out=0,
                init=start,
                companions=False,
            )
        )
        network, _ = load_network(f"{out}/{name}.safetensors", tree)
        answers, _ = answers_for([network], read_labels(str(out), tree, f"{name}-judged.csv"))
        return answers.numpy().astype(np.float64)

    return learn


if __name__ == "__main__":
    main()
