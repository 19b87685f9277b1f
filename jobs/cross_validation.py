"""Answers of networks that never saw the galaxy: ``python -m jobs.cross_validation DATA OUT``.

DATA holds the folders that `jobs.weights` takes, less ``efigi``. The labelled galaxies of the Galaxy
Challenge are divided into fifths. Each fifth is classified by a network that was trained on the four others,
and whose convolutions learnt before from galaxies of other sets only. What comes out is made for ``tuningfork
evaluate OUT/catalogue``:

``OUT/catalogue``, ``OUT/single_view``
    All 500, each with the answers of the network that never saw it: over 60 transforms, and of one view.
``OUT/labels.csv``
    Their votes.

Half an hour on two cores; run again, it continues.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from jobs.classify import ClassifyConfig
from jobs.classify import run as run_classify
from jobs.console import say
from jobs.ingest import IngestImagesConfig, ingest_images
from jobs.train import TrainConfig, train_one
from jobs.weights import (
    KINDS,
    LARGEST,
    VOTES,
    challenge,
    galaxy_zoo_1,
    largest_answers,
    stripe_82,
    write_labels,
)
from pipeline import storage
from pipeline.catalogue import catalogue_dataset, catalogue_uri
from pipeline.config import CONFIGS
from pipeline.tree import joined, load_tree

FOLDS = 5
TRUNK_EXAMPLES = 120_000
"""35 passes over 3,383 galaxies, as many as those of `jobs.weights`."""


def main() -> None:
    """Train, classify and gather, in as many steps as are still to be done."""
    data, out = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2])
    tree = load_tree()
    labelled, deep = challenge(data, tree), stripe_82(data, tree)
    trunk = _trunk(out, [(largest_answers(data), 0.7), (deep, 2.0), (galaxy_zoo_1(data), 1.0)])
    views: dict[str, Literal[60, 1]] = {"catalogue": 60, "single_view": 1}
    parts: dict[str, list[str]] = {view: [] for view in views}
    for fold in range(FOLDS):
        name = f"{out}/fold-{fold}"
        inside = np.arange(len(labelled)) * FOLDS // len(labelled) == fold
        unseen, seen = labelled[inside], labelled[~inside]
        say(f"Fifth {fold + 1} of {FOLDS}: {len(unseen)} galaxies that the network doesn't see")
        write_labels(f"{name}.csv", [(deep, 0.5), (seen, 1.0), (unseen, 1.0)], tree)
        train_one(
            TrainConfig(
                data=out,
                output=out,
                name=f"fold-{fold}",
                labels=f"fold-{fold}.csv",
                init=trunk,
                held_out=len(unseen),
                recipe=str(CONFIGS / "recipes" / "fine_tuning.yaml"),
            )
        )
        _ingest(unseen, name)
        for view, transforms in views.items():
            parts[view].append(_classify(name, transforms))
    for view, outputs in parts.items():
        rows = [catalogue_dataset(catalogue_uri(output), tree).to_table() for output in outputs]
        write_deltalake(f"{out}/{view}", pa.concat_tables(rows), mode="overwrite")
        say(f"Catalogue: {out}/{view}")
    votes = labelled.assign(object_id=labelled["object_id"].str.removeprefix("challenge-"))
    storage.write_bytes(f"{out}/labels.csv", votes[["object_id", *tree.columns]].to_csv(index=False).encode())
    say(f"Votes:     {out}/labels.csv")


def _trunk(out: str, parts: list[tuple[pd.DataFrame, float]]) -> str:
    """Train what all fifths start from; its weights."""
    trees = (VOTES, KINDS, LARGEST)
    write_labels(f"{out}/trunk.csv", parts, joined(*(load_tree(path) for path in trees)))
    train_one(
        TrainConfig(
            data=out,
            output=out,
            name="trunk",
            labels="trunk.csv",
            tree=trees,
            recipe=str(CONFIGS / "recipes" / "pretraining.yaml"),
            examples=TRUNK_EXAMPLES,
        )
    )
    return f"{out}/trunk.safetensors"


def _ingest(galaxies: pd.DataFrame, name: str) -> None:
    images = Path(f"{name}.images")
    images.mkdir(exist_ok=True)
    for image in galaxies["image"]:
        shutil.copy2(image, images)  # with its time, by which a changed image is known
    ingest_images(IngestImagesConfig(input=str(images), output=f"{name}.cutouts"))


def _classify(name: str, transforms: Literal[60, 1]) -> str:
    """Classify the galaxies of a fifth with its weights; the output's folder."""
    output, weights = f"{name}.run-{transforms}", f"{name}.safetensors"
    run_classify(
        ClassifyConfig(input=f"{name}.cutouts", output=output, weights=weights, transforms=transforms)
    )
    return output


if __name__ == "__main__":
    main()
