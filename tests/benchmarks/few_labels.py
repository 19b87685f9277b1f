"""What weights are worth to another survey: ``python -m tests.benchmarks.few_labels DATA OUT NAME=FILE …``.

Networks learn EFIGI's sixteen attributes from 100, 300 and 1,000 galaxies, once from scratch and once from
the weights of each FILE, and are scored on 500 others. Weights that learnt EFIGI's attributes before, like
those of the project, know the answers to this test; those of ``python -m jobs.recipes.weights DATA OUT
--without-efigi`` and ``python -m jobs.recipes.cross_validation DATA OUT`` don't. DATA holds the folder
``efigi``; writes ``few_labels.json`` and ``few_labels.png`` into OUT. Run again, it continues.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from jobs.recipes.tables import EFIGI, efigi
from pipeline import storage
from pipeline.network import read_card
from pipeline.training.weights import TrainConfig, train_one

COUNTS = (100, 300, 1000)
SCORED = 500
FROM_SCRATCH = "from scratch"


def score(out: Path, count: int, label: str, start: str | None) -> dict[str, float]:
    """RMSE after training on so many galaxies, averaged over 60 transforms, and that of constant answers."""
    name = f"{label.replace(' ', '-')}-{count}"
    config = TrainConfig(
        data=str(out),
        labels=f"efigi-{count}.csv",
        output=str(out),
        name=name,
        tree=EFIGI,
        recipe="configs/recipes/few_labels.yaml",
        held_out=SCORED,
        init=start,
    )
    train_one(config)
    found = read_card(f"{out}/{name}.safetensors").score
    return {
        "rmse": float(str(found["rmse_60_transforms"])),
        "constant": float(str(found["rmse_of_mean_votes"])),
    }


def main() -> None:
    """Train, score and draw."""
    data, out = storage.absolute(sys.argv[1]), Path(sys.argv[2])
    starts = {FROM_SCRATCH: None} | dict(word.split("=", 1) for word in sys.argv[3:])
    out.mkdir(parents=True, exist_ok=True)
    table = efigi(data).sample(frac=1, random_state=0)
    scored = table[-SCORED:]
    results: dict[str, dict[int, dict[str, float]]] = {}
    for count in COUNTS:
        # All are scored on the same galaxies, and more labels include the fewer.
        pd.concat([table[:count], scored]).to_csv(out / f"efigi-{count}.csv", index=False)
        for label, start in starts.items():
            results.setdefault(label, {})[count] = score(out, count, label, start)
            print(label, count, results[label][count], flush=True)
    (out / "few_labels.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, out / "few_labels.png")


def draw(results: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Score against the number of labels."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (label, found), marker in zip(results.items(), "os^D", strict=False):
        axes.plot(list(found), [each["rmse"] for each in found.values()], f"{marker}-", label=label)
    constant = next(iter(results.values()))[max(COUNTS)]["constant"]
    axes.axhline(constant, color="gray", linestyle=":", label="the mean of all votes")
    axes.set(
        xscale="log",
        xlabel="labelled galaxies",
        ylabel=f"RMSE on {SCORED} others, 60 transforms",
        title="EFIGI's sixteen attributes",
    )
    axes.set_xticks(COUNTS, [f"{count:,}" for count in COUNTS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
