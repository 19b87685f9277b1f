"""Whole catalogues scored by their embeddings, a batch at a time, into a table beside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.console import progress, say
from pipeline.cutouts.table import conform
from pipeline.report.thumbnails import Form, thumbnail
from pipeline.representations import EmbeddingBatch, Embeddings
from pipeline.run.cutouts import readable_cutouts, reader_of

_PLACE = (pa.field("object_id", pa.string()), pa.field("ra", pa.float64()), pa.field("dec", pa.float64()))
_SHOWN_SIDE = 160

Scores = Callable[[EmbeddingBatch], NDArray[np.floating]]
"""Gives galaxies their scores, shape (n,) or (n, columns)."""


def write_scores(
    uri: str, embeddings: Embeddings, names: Sequence[str], scores: Scores, label: str = "Scoring"
) -> int:
    """Write ``object_id, ra, dec`` and scores of all galaxies (Parquet); how many there are."""
    schema = pa.schema([*_PLACE, *(pa.field(name, pa.float32()) for name in names)])
    written = 0
    with _parquet(uri, schema) as writer, progress(label, embeddings.rows) as advance:
        for batch in embeddings.batches(["input"]):
            values = np.asarray(scores(batch), np.float32).reshape(len(batch), -1)
            columns = [batch.rows[field.name].cast(field.type) for field in _PLACE]
            writer.write_batch(
                pa.RecordBatch.from_arrays([*columns, *map(pa.array, values.T)], schema=schema)
            )
            written += len(batch)
            advance(len(batch))
    return written


def thumbnails_of(catalogue: str, galaxies: pa.Table, side: int = _SHOWN_SIDE) -> dict[str, bytes]:
    """Pictures of some galaxies of a catalogue by object_id, as far as their cutouts can still be read.

    Parameters
    ----------
    galaxies
        Columns ``object_id`` and ``input``.
    """
    places = [place for place in dict.fromkeys(galaxies["input"].to_pylist()) if place]
    wanted = set(galaxies["object_id"].to_pylist())
    form: Form = "WEBP"
    pictures = {}
    for cutout in conform(readable_cutouts(places, reader_of(catalogue))).to_pylist():
        picture = thumbnail(cutout, side, form)
        if picture is not None and cutout["object_id"] in wanted:
            pictures[cutout["object_id"]] = picture
    return pictures


def say_missing(uri: str, ids: Sequence[str], present: Sequence[str], catalogue: str) -> None:
    """Tell of galaxies that a table names and a catalogue hasn't."""
    there = set(present)
    missing = [name for name in ids if name not in there]
    if missing:
        say(
            f"{len(missing):,} of the {len(ids):,} galaxies of {uri} are not in {catalogue}, first "
            f"{missing[0]!r}; they are left out"
        )


@contextlib.contextmanager
def _parquet(uri: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with storage.open_new(uri) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        yield writer
