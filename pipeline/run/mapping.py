"""A map of a catalogue: galaxies drawn from it, their places, and pictures of some."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue.embedding import EMBEDDING
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.report.map_page import TILE, GalaxyMap
from pipeline.representations import Embeddings
from pipeline.representations.gathering import sample, vectors_of
from pipeline.representations.layout import FEWEST, check_library, lay_out, spread_out
from pipeline.run.scores import thumbnails_of
from pipeline.tree import DecisionTree

MAP = "map.parquet"
_READ_AT_ONCE = 500
"""Galaxies whose full pictures are in memory at a time."""


def draw_map(
    embeddings: Embeddings, tree: DecisionTree, count: int, pictures: int, seed: int = 0
) -> GalaxyMap:
    """A map of galaxies drawn at random, or of all where there are fewer than `count`.

    Parameters
    ----------
    pictures
        How many get a picture, as far as their cutouts can still be read.

    Raises
    ------
    InputError
        If there are fewer than `FEWEST` galaxies, all have the same vector, or PaCMAP isn't there.
    """
    check_library()
    drawn = sample(embeddings, count, seed, ["input", *tree.columns])
    if len(drawn) < FEWEST:
        raise InputError(
            f"{embeddings.uri}: {len(drawn):,} galaxies for a map, expected at least {FEWEST}; classify "
            "more, or raise galaxies="
        )
    say(f"Laying out {len(drawn):,} galaxies …")
    places = lay_out(vectors_of(drawn), seed)
    galaxies = drawn.drop_columns([EMBEDDING])
    chosen = spread_out(places, pictures)
    ids, found = galaxies["object_id"], dict[int, bytes]()
    for start in range(0, len(chosen), _READ_AT_ONCE):
        rows = chosen[start : start + _READ_AT_ONCE].tolist()
        read = thumbnails_of(embeddings.uri, galaxies.take(pa.array(rows)), TILE)
        found |= {row: read[ids[row].as_py()] for row in rows if ids[row].as_py() in read}
    return GalaxyMap(galaxies, places, found)


def write_places(uri: str, drawn: GalaxyMap) -> None:
    """Write the galaxies of a map with their places ``x, y`` and answers (Parquet)."""
    galaxies = drawn.galaxies.drop_columns(["input"])
    for place, (name, values) in enumerate(zip("xy", drawn.places.T, strict=True), 3):
        galaxies = galaxies.add_column(place, name, pa.array(values))
    with storage.open_new(uri) as stream:
        pq.write_table(galaxies, stream, compression="zstd")
