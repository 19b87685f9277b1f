"""Galaxies that people have answered, as `train` reads them: a label table, and pictures."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.report.thumbnails import thumbnail
from pipeline.run.cutouts import readable_cutouts, reader_of
from pipeline.run.subjects import PICTURE_SIDE
from pipeline.tree import DecisionTree

LABELS_FILE = "labels.csv"

_AT_ONCE = 512


def write_labels(
    output: str, catalogue: str, galaxies: pa.Table, answers: NDArray[np.float64], tree: DecisionTree
) -> int:
    """Write ``labels/``: the label table, last, and a picture of each galaxy that isn't there yet.

    Parameters
    ----------
    galaxies
        Columns ``object_id, input, content, classifications``.
    answers : ndarray, shape (galaxies, answers)
        Cumulative shares.

    Returns
    -------
    int
        How many galaxies there are to learn from: those whose cutout can still be read.
    """
    folder = storage.join(output, "labels")
    there = {storage.name(file.uri) for file in storage.list_files(storage.join(folder, "images"), ".jpg")}
    rows = galaxies.to_pylist()
    names = [
        hashlib.sha256(f"{row['object_id']}\0{row['content']}".encode()).hexdigest()[:24] + ".jpg"
        for row in rows
    ]
    missing = [number for number, name in enumerate(names) if name not in there and rows[number]["input"]]
    reader = reader_of(catalogue)
    for first in range(0, len(missing), _AT_ONCE):
        some = missing[first : first + _AT_ONCE]
        cutouts = readable_cutouts([rows[number]["input"] for number in some], reader)
        by_id = {cutout["object_id"]: cutout for cutout in cutouts.to_pylist()}
        for number in some:
            picture = thumbnail(by_id.get(rows[number]["object_id"]), PICTURE_SIDE, "JPEG")
            if picture:
                storage.write_bytes(storage.join(folder, "images", names[number]), picture)
                there.add(names[number])
    kept = [number for number, name in enumerate(names) if name in there]
    table = pd.DataFrame(answers[kept], columns=list(tree.columns))
    table.insert(0, "object_id", [storage.guarded(rows[number]["object_id"]) for number in kept])
    table.insert(1, "image", [f"images/{names[number]}" for number in kept])
    table.insert(2, "volunteers", [rows[number]["classifications"] for number in kept])
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    storage.write_bytes(storage.join(folder, LABELS_FILE), text.getvalue().encode())
    return len(kept)
