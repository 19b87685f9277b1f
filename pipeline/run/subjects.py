"""Subjects for the Zooniverse: pictures of galaxies, and the manifest by which they are uploaded."""

from __future__ import annotations

import csv
import io
import re

import pyarrow as pa

from pipeline import storage
from pipeline.report.thumbnails import thumbnail
from pipeline.run.cutouts import readable_cutouts, reader_of

PICTURE_SIDE = 424
"""Width of a subject's picture in pixels, Galaxy Zoo's own."""


def write_subjects(output: str, catalogue: str, subjects: pa.Table) -> int:
    """Write ``subjects/manifest.csv`` and ``subjects/images/``.

    Names of columns that begin with ``#`` are hidden from volunteers. Ids are as `storage.guarded` has them.

    Parameters
    ----------
    subjects
        Columns ``object_id, ra, dec, questions, confidence, input``; those whose cutout can't be found have
        no line in the manifest.

    Returns
    -------
    int
        How many were written.

    References
    ----------
    Zooniverse, https://help.zooniverse.org/getting-started/example: Subject sets and manifest details.
    """
    places = [row for row in subjects.to_pylist() if row.get("input")]
    cutouts = readable_cutouts([row["input"] for row in places], reader_of(catalogue))
    by_id = {cutout["object_id"]: cutout for cutout in cutouts.to_pylist()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "#object_id", "#ra", "#dec", "#questions", "#confidence"])
    written = 0
    for number, row in enumerate(places):
        picture = thumbnail(by_id.get(row["object_id"]), PICTURE_SIDE, "JPEG")
        if not picture:
            continue
        name = f"{number:06d}-{re.sub(r'[^A-Za-z0-9._-]', '_', row['object_id'])[:80]}.jpg"
        storage.write_bytes(storage.join(output, "subjects", "images", name), picture)
        written += 1
        writer.writerow(
            [
                f"images/{name}",
                storage.guarded(row["object_id"]),
                row["ra"],
                row["dec"],
                row["questions"],
                f"{row['confidence']:.4f}",
            ]
        )
    storage.write_bytes(storage.join(output, "subjects", "manifest.csv"), text.getvalue().encode())
    return written
