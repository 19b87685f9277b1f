"""Index: shards by which look-alikes in a large catalogue are found without reading all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline import storage
from pipeline.catalogue.snapshot import open_table
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.representations import Embeddings, open_embeddings
from pipeline.representations.index import (
    Manifest,
    Shard,
    check_library,
    commit,
    missing_shards,
    order_for,
    read_manifest,
    rows_by_tile,
    shards_of,
)
from pipeline.tree import GALAXY_ZOO_2, load_tree

_ROWS_AT_ONCE = 4_000_000
"""Galaxies whose vectors are in memory at a time; the catalogue is read once for so many that changed."""


class IndexConfig(StrictModel):
    """What `tuningfork index` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output made with ``embedding=true``.
    output
        Where the index goes, or is already.
    tree
        The decision tree whose answers the catalogue holds.
    """

    catalogue: TablePlace
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)


def run(config: IndexConfig) -> None:
    """Build what is missing, and then make it the index.

    Raises
    ------
    InputError
        If there is no such catalogue, it has no embeddings, or the package faiss isn't there.
    """
    check_library()
    tree, output = load_tree(config.tree), storage.absolute(config.output)
    version = open_table(config.catalogue, tree).version()
    embeddings = open_embeddings(config.catalogue, tree, str(version))
    before = read_manifest(output)
    order = before.order if before else order_for(embeddings.rows)
    shards = shards_of(embeddings, order)
    missing = missing_shards(output, shards)
    galaxies = sum(shard.rows for shard in missing)
    say(f"{len(shards) - len(missing):,} of {len(shards):,} shards are there; {galaxies:,} galaxies to index")
    if missing:
        from pipeline.streaming import connect
        from pipeline.streaming.indexing import build_shards

        connect()
        with progress("Indexing", galaxies) as advance:
            for shard in build_shards(output, _rows(embeddings, order, missing)):
                advance(shard.rows)
    manifest = Manifest(
        catalogue=storage.absolute(config.catalogue),
        snapshot=version,
        weights=embeddings.weights,
        projection=embeddings.projection,
        order=order,
        shards=tuple(shards),
    )
    if manifest != before:
        commit(output, manifest)
    say(f"{sum(shard.rows for shard in shards):,} galaxies of version {version} are indexed in {output}")


def _rows(embeddings: Embeddings, order: int, shards: list[Shard]) -> Iterator[tuple[Shard, pa.Table]]:
    """Shards with their rows; as many shards at a time as fit into memory."""
    by_tile = {shard.tile: shard for shard in shards}
    group, size = list[int](), 0
    for shard in [*shards, None]:
        if group and (shard is None or size + shard.rows > _ROWS_AT_ONCE):
            for tile, rows in rows_by_tile(embeddings, order, group):
                yield by_tile[tile], rows
            group, size = [], 0
        if shard is not None:
            group.append(shard.tile)
            size += shard.rows
