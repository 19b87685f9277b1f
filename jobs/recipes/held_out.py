"""Held-out galaxies as the input of a run: ``python -m jobs.recipes.held_out LABELS OUT``.

LABELS is what `jobs.recipes.labels` wrote. The galaxies that the project's weights never learnt from are
written to ``OUT/cutouts.parquet``, which ``tuningfork classify`` reads, and their votes to
``OUT/labels.csv``, by which ``tuningfork evaluate`` judges the catalogue.
"""

from __future__ import annotations

import io
import sys

import pandas as pd

from pipeline import storage
from pipeline.console import say
from pipeline.tree import load_tree


def main() -> None:
    """Write cutouts and votes."""
    labels, out = storage.absolute(sys.argv[1]), storage.absolute(sys.argv[2])
    galaxies = pd.read_csv(io.BytesIO(storage.read_bytes(f"{labels}/unseen.csv")), dtype={"object_id": str})
    images = [storage.read_bytes(image) for image in galaxies["image"]]
    cutouts = galaxies[["object_id", "frame_pixels"]].assign(image=images)
    storage.write_bytes(f"{out}/cutouts.parquet", cutouts.to_parquet(index=False))
    votes = galaxies[["object_id", *load_tree().columns]].to_csv(index=False)
    storage.write_bytes(f"{out}/labels.csv", votes.encode())
    say(f"{len(galaxies)} held-out galaxies and their votes: {out}")


if __name__ == "__main__":
    main()
