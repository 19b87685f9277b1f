"""Rings from few labels, by a probe on embeddings: ``python -m tests.benchmarks.probe_labels DATA``.

DATA holds ``rings`` (`id_str`, `ring`, and a picture each). Of each number of labels ten draws are learnt
from, and scored on all the galaxies that they leave over. JSON, and a sentence on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.network import DEFAULT_WEIGHTS
from pipeline.representations.gathering import decoded
from pipeline.representations.probe import softmax
from pipeline.representations.probe_fitting import best_strength, regression, score
from tests.benchmarks.embedded import embedded

COUNTS = (20, 50, 100, 300)


def main() -> None:
    """Learn and score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--cache", type=Path, default=Path("out/embedded"))
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    table = pd.read_csv(options.data / "rings" / "rings.csv")
    pictures = [options.data / "rings" / "images" / f"{name}.jpg" for name in table["id_str"]]
    values = decoded(embedded(options.weights, pictures, options.cache)).astype(np.float64)
    targets = np.eye(2)[table["ring"].to_numpy()]
    result = {}
    for count in COUNTS:
        scores = []
        for seed in range(options.seeds):
            order = np.random.default_rng(seed).permutation(len(targets))
            learnt, judged = order[:count], order[count:]
            strength = best_strength(values[learnt], targets[learnt], seed)
            logits = regression(values[learnt], targets[learnt], strength).logits(values[judged])
            scores.append(score(targets[judged], np.asarray(softmax(logits), np.float64)))
        result[count] = {
            name: {
                "mean": round(float(np.mean([getattr(each, name) for each in scores])), 4),
                "spread": round(float(np.std([getattr(each, name) for each in scores])), 4),
            }
            for name in ("accuracy", "auroc")
        }
    print(json.dumps({"galaxies": len(targets), "seeds": options.seeds, "labels": result}, indent=1))
    said = ", ".join(f"{one['accuracy']['mean']:.1%} from {count}" for count, one in result.items())
    print(f"Of galaxies left over, rings and others are told apart in {said} labels", file=sys.stderr)


if __name__ == "__main__":
    main()
