"""Answers of networks that never saw the galaxy: ``python -m jobs.recipes.cross_validation DATA OUT``.

DATA holds the folders that `jobs.recipes.weights` takes, less ``efigi``. Each of two labelled sets, the
Galaxy Challenge and Stripe 82, is divided into fifths. A fifth of both is classified by a network that was
trained on the four others, and whose convolutions learnt before from galaxies of other sets only. What comes
out is made for ``tuningfork evaluate OUT/SET/catalogue``, for the sets ``challenge`` and ``stripe_82``:

``OUT/SET/catalogue``, ``OUT/SET/single_view``
    All its galaxies, each with the answers of the network that never saw it: over 60 transforms, and of one
    view.
``OUT/SET/labels.csv``
    Their votes.

An hour on two cores; run again, it continues.
"""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import Schema
from deltalake.transaction import create_table_with_add_actions

from jobs.classify import ClassifyConfig
from jobs.classify import run as run_classify
from jobs.recipes.tables import (
    KINDS,
    LARGEST,
    challenge,
    galaxy_zoo_1,
    largest_answers,
    stripe_82,
    write_labels,
)
from pipeline import storage
from pipeline.catalogue import catalogue_dataset, catalogue_schema
from pipeline.catalogue.files import write_data_files
from pipeline.config import CONFIGS
from pipeline.console import say
from pipeline.protocol import catalogue_uri
from pipeline.training.weights import TrainConfig, train_one
from pipeline.tree import DecisionTree, joined, load_tree

FOLDS = 5
TRUNK_EXAMPLES = 105_000
"""Galaxies shown in pre-training: 35 passes over 3,000, as many passes as in `jobs.recipes.weights`."""

VIEWS: dict[str, Literal[60, 1]] = {"catalogue": 60, "single_view": 1}


class LabelledSet(NamedTuple):
    """Galaxies with votes, which are divided into fifths."""

    name: str
    galaxies: pd.DataFrame

    def part(self, fold: int, inside: bool) -> pd.DataFrame:
        """The galaxies of one fifth, or (`inside` False) those of the four others."""
        folds = np.arange(len(self.galaxies)) * FOLDS // len(self.galaxies)
        part: pd.DataFrame = self.galaxies[(folds == fold) == inside]
        return part


def main() -> None:
    """Train, classify and gather, in as many steps as are still to be done."""
    data, out = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2])
    tree = load_tree()
    sets = [
        LabelledSet("stripe_82", stripe_82(data, tree).assign(volunteers=0.5)),
        LabelledSet("challenge", challenge(data, tree).assign(volunteers=1.0)),
    ]
    trunk = _trunk(
        out, [largest_answers(data).assign(volunteers=0.7), galaxy_zoo_1(data).assign(volunteers=1.0)]
    )
    for fold in range(FOLDS):
        unseen = [each.part(fold, inside=True) for each in sets]
        seen = [each.part(fold, inside=False) for each in sets]
        number = sum(map(len, unseen))
        say(f"Fifth {fold + 1} of {FOLDS}: {number} galaxies that the network doesn't see")
        write_labels(f"{out}/fold-{fold}.csv", [*seen, *unseen], tree)
        train_one(
            TrainConfig(
                data=out,
                output=out,
                name=f"fold-{fold}",
                labels=f"fold-{fold}.csv",
                init=trunk,
                held_out=number,
                recipe=str(CONFIGS / "recipes" / "fine_tuning.yaml"),
            )
        )
        for each in sets:
            _classify(
                each.part(fold, inside=True), f"{out}/{each.name}", fold, f"{out}/fold-{fold}.safetensors"
            )
    for each in sets:
        _gather(each, f"{out}/{each.name}", tree)


def _trunk(out: str, parts: list[pd.DataFrame]) -> str:
    """Train the network that all fifths start from; the path of its weights."""
    trees = (KINDS, LARGEST)
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


def _classify(galaxies: pd.DataFrame, folder: str, fold: int, weights: str) -> None:
    """Classify the galaxies of a fifth with its weights."""
    cutouts = f"{folder}/cutouts-{fold}/cutouts.parquet"
    if not storage.exists(cutouts):  # a file that is written anew counts as changed
        images = [storage.read_bytes(image) for image in galaxies["image"]]
        table = galaxies.reindex(columns=["object_id", "frame_pixels"]).assign(image=images)
        storage.write_bytes(cutouts, table.to_parquet(index=False))
    for view, transforms in VIEWS.items():
        run_classify(
            ClassifyConfig(
                input=cutouts, output=f"{folder}/{view}-{fold}", weights=weights, transforms=transforms
            )
        )


def _gather(each: LabelledSet, folder: str, tree: DecisionTree) -> None:
    """All fifths of a set in one catalogue a view, and its votes."""
    for view in VIEWS:
        parts = [catalogue_uri(f"{folder}/{view}-{fold}") for fold in range(FOLDS)]
        _write_catalogue(
            f"{folder}/{view}", [catalogue_dataset(part, tree).to_table() for part in parts], tree
        )
    votes = each.galaxies[["object_id", *tree.columns]].to_csv(index=False)
    storage.write_bytes(f"{folder}/labels.csv", votes.encode())
    say(f"Catalogue and votes: {folder}")


def _write_catalogue(uri: str, tables: list[pa.Table], tree: DecisionTree) -> None:
    """One catalogue of the rows of several.

    Not committed as a run's: each row is of one of five runs, which keep their plans in their own outputs.
    """
    schema = catalogue_schema(tree)
    rows = pa.concat_tables(table.select(schema.names).cast(schema) for table in tables).combine_chunks()
    files = write_data_files(uri, schema, rows.to_batches())
    create_table_with_add_actions(
        uri, Schema.from_arrow(schema), files, mode="overwrite", storage_options=storage.delta_options(uri)
    )


if __name__ == "__main__":
    main()
