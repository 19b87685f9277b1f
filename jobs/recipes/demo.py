"""Labelled galaxies out of what is at hand: ``python -m jobs.recipes.demo CUTOUTS CATALOGUE.csv OUT``.

The labels are the answers that a catalogue holds (exported as CSV), so that there is something to learn
where nobody has voted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from pipeline import storage
from pipeline.cutouts import list_shards, read_rows
from pipeline.training.labels import LABELS_FILE
from pipeline.tree import load_tree


def main() -> None:
    """Write images and a label table in the layout that `train` reads."""
    cutouts, answers, out = sys.argv[1], pd.read_csv(sys.argv[2]), Path(sys.argv[3])
    (out / "images").mkdir(parents=True, exist_ok=True)
    frames = {}
    for shard in list_shards(storage.absolute(cutouts)):
        for row in read_rows(shard.uri, 0, shard.rows).to_pylist():
            (out / "images" / f"{row['object_id']}.png").write_bytes(row["image"])
            frames[row["object_id"]] = row["frame_pixels"]
    names = answers["object_id"]
    table = answers[["object_id", *load_tree().columns]]
    table = table.assign(image="images/" + names + ".png", frame_pixels=names.map(frames))
    table.to_csv(out / LABELS_FILE, index=False)


if __name__ == "__main__":
    main()
