"""An approximate index of a catalogue's embeddings: shards by place, and the manifest that names them.

A shard holds the galaxies of one HEALPix tile, and its name the digest of its rows, so that one that is there
needs no second build. The manifest is written last and in one step: the index is the old or the new.
"""

from __future__ import annotations

import functools
import io
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.embedding import EMBEDDING, to_binary, to_vectors
from pipeline.catalogue.region import Region, healpix_pixels, inside, positions, tiles_within
from pipeline.config import StrictModel, parse_yaml, validate
from pipeline.errors import InputError
from pipeline.representations.alike import ORDER, PLACES, SIMILARITY
from pipeline.representations.reading import EmbeddingBatch, Embeddings
from pipeline.representations.search import NOTHING, Nearest, cosines

VERSION = 1
"""Raise it when shards or manifests of before can't be used any more."""

NOWHERE = -1
"""The tile of galaxies without a position."""

_TILE_ROWS = 500_000
"""Galaxies of a shard, on average over the sky, at most."""

_DEEPEST = 8
_LISTS_SEARCHED = 32
_OVERSAMPLED = 4
"""Coarse scores choose so many times the galaxies that are asked for, among which cosines decide."""

_ALL_COMPARED = 20_000
"""Where no more galaxies of a shard count, each is compared, and its lists aren't asked."""

_MIX = np.uint64(0x9E3779B97F4A7C15)


class Shard(StrictModel):
    """One shard: the galaxies of a tile.

    Attributes
    ----------
    tile
        Nested HEALPix pixel, or `NOWHERE`.
    rows
        How many galaxies it holds.
    digest
        Of their ids and vectors, whatever their order.
    """

    tile: int
    rows: int
    digest: str

    @property
    def name(self) -> str:
        """What its two files are called."""
        return f"{self.tile}-{self.rows}-{self.digest}"


class Manifest(StrictModel):
    """What an index is of.

    Attributes
    ----------
    snapshot
        Version of the catalogue.
    weights, projection
        sha256 of what made the vectors.
    order
        HEALPix order of the tiles.
    """

    version: int = VERSION
    catalogue: str
    snapshot: int
    weights: str
    projection: str
    order: int
    shards: tuple[Shard, ...]


def manifest_uri(index: str) -> str:
    """Where the manifest of an index lies."""
    return storage.join(index, "manifest.json")


def read_manifest(index: str) -> Manifest | None:
    """The manifest of an index; None where there is none yet.

    Raises
    ------
    InputError
        If it can't be read, or is of another version.
    """
    uri = manifest_uri(index)
    if not storage.exists(uri):
        return None
    manifest = validate(Manifest, parse_yaml(storage.read_bytes(uri), uri), uri)
    if manifest.version != VERSION:
        raise InputError(f"{uri} is of version {manifest.version}; expected {VERSION}: build the index anew")
    return manifest


def order_for(galaxies: int) -> int:
    """The order of the tiles of a whole sky with so many galaxies."""
    return next((k for k in range(_DEEPEST) if galaxies <= 12 * 4**k * _TILE_ROWS), _DEEPEST)


def shards_of(embeddings: Embeddings, order: int) -> list[Shard]:
    """The shards that a catalogue's galaxies make, in the order of their tiles; reads it once."""
    sums, counts = defaultdict[int, int](int), defaultdict[int, int](int)
    for batch in embeddings.batches():
        digests, tiles = _row_digests(batch), _tiles(batch, order)
        for tile in np.unique(tiles):
            mine = tiles == tile
            sums[int(tile)] += int(np.add.reduce(digests[mine], dtype=np.uint64))
            counts[int(tile)] += int(mine.sum())
    return [Shard(tile=t, rows=counts[t], digest=f"{sums[t] % 2**64:016x}") for t in sorted(counts)]


def rows_by_tile(
    embeddings: Embeddings, order: int, tiles: Collection[int]
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of some tiles, all at once in memory: ids, positions and vectors, ordered by id."""
    rows: dict[int, list[pa.RecordBatch]] = defaultdict(list)
    wanted = np.array(sorted(tiles))
    for batch in embeddings.batches():
        own = _tiles(batch, order)
        table = batch.rows.append_column(EMBEDDING, to_binary(batch.vectors))
        for tile in np.intersect1d(own, wanted):
            rows[int(tile)].append(table.filter(pa.array(own == tile)))
    for tile in sorted(rows):
        yield tile, pa.Table.from_batches(rows.pop(tile)).sort_by("object_id")


def missing_shards(index: str, shards: list[Shard]) -> list[Shard]:
    """Those that aren't there whole: a shard's second file is written last, and each in one step."""
    there = {storage.name(file.uri) for file in storage.list_files(_folder(index), ".faiss")}
    return [shard for shard in shards if f"{shard.name}.faiss" not in there]


def build_shard(index: str, shard: Shard, rows: pa.Table) -> Shard:
    """Build a shard and write its two files: the rows, and the index of Faiss that finds them.

    Vectors are gathered about centres (an inverted file); a search looks at the nearest centres' lists, whose
    vectors are kept in 8 bits a number.

    References
    ----------
    Faiss, https://faiss.ai: Douze et al. 2024, "The Faiss library".
    """
    faiss = _faiss()
    faiss.omp_set_num_threads(1)
    units = _units(to_vectors(rows[EMBEDDING].combine_chunks()))
    lists = max(1, min(int(4 * np.sqrt(len(units))), len(units) // 40))
    centres = faiss.IndexFlatIP(units.shape[1])
    made = faiss.IndexIVFScalarQuantizer(
        centres, units.shape[1], lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    made.cp.niter, made.cp.max_points_per_centroid, made.cp.min_points_per_centroid = 6, 64, 1
    made.train(units)
    made.add(units)
    with storage.open_new(_file(index, shard, "parquet")) as stream:
        pq.write_table(rows, stream, compression="zstd")
    storage.write_bytes(_file(index, shard, "faiss"), faiss.serialize_index(made).tobytes())
    return shard


def commit(index: str, manifest: Manifest) -> int:
    """Make an index the current one, and remove the shards that neither it nor the one before names.

    Returns
    -------
    int
        How many shards were removed.
    """
    before = read_manifest(index)
    storage.write_bytes(manifest_uri(index), manifest.model_dump_json(indent=1).encode())
    named = {shard.name for one in (before, manifest) if one is not None for shard in one.shards}
    old = [file.uri for file in storage.list_files(_folder(index)) if _stem(file.uri) not in named]
    for uri in old:
        storage.remove(uri)
    return len({_stem(uri) for uri in old})


@dataclass(frozen=True)
class Index:
    """An index that is there, to be searched.

    Attributes
    ----------
    uri
        Its folder.
    manifest
        What it is of.
    """

    uri: str
    manifest: Manifest

    def look_alikes(
        self,
        wanted: NDArray[np.float64],
        count: int,
        without: Collection[str] = (),
        region: Region | None = None,
    ) -> pa.Table:
        """The galaxies whose vectors point most in a direction, nearly all of them: see `look_alikes`.

        Parameters
        ----------
        region
            The part of the sky whose galaxies count; all of it if not given.
        """
        best = PLACES.empty_table()
        for shard in self._within(region):
            near, rows = self._search(shard, wanted, count + len(without), region)
            found = rows.select(["object_id", "ra", "dec"]).take(pa.array(near.rows))
            found = found.append_column(SIMILARITY, pa.array(near.cosines, pa.float64()))
            best = pa.concat_tables([best, found.cast(PLACES)]).sort_by(ORDER)[: count + len(without)]
        excluded = set(without)
        kept = [name not in excluded for name in best["object_id"].to_pylist()]
        return best.filter(pa.array(kept, pa.bool_()))[:count]

    def _within(self, region: Region | None) -> list[Shard]:
        """The shards whose galaxies may lie in a region."""
        tiles = None if region is None else tiles_within(region, self.manifest.order)
        return [shard for shard in self.manifest.shards if tiles is None or shard.tile in tiles]

    def _search(
        self, shard: Shard, wanted: NDArray[np.float64], count: int, region: Region | None
    ) -> tuple[Nearest, pa.Table]:
        made, rows = self._opened(shard)
        within = None if region is None else np.flatnonzero(inside(rows, region))
        if within is not None and len(within) <= _ALL_COMPARED:
            chosen = within
        else:
            chosen = _coarsely(made, wanted, min(_OVERSAMPLED * count, shard.rows), within)
        vectors = to_vectors(rows[EMBEDDING].take(pa.array(chosen)).combine_chunks())
        return NOTHING.with_more(chosen, cosines(vectors, wanted), count), rows

    @functools.lru_cache(maxsize=64)  # noqa: B019
    def _opened(self, shard: Shard) -> tuple[Any, pa.Table]:
        faiss = _faiss()
        data = np.frombuffer(storage.read_bytes(_file(self.uri, shard, "faiss")), np.uint8)
        rows = pq.read_table(io.BytesIO(storage.read_bytes(_file(self.uri, shard, "parquet"))))
        return faiss.deserialize_index(data), rows


def open_index(uri: str, embeddings: Embeddings, snapshot: int) -> Index:
    """The index of a catalogue's snapshot.

    Raises
    ------
    InputError
        If there is none, or it is of another snapshot, other weights or another projection.
    """
    manifest = read_manifest(uri)
    if manifest is None:
        raise InputError(f"{uri} is no index: make it with `tuningfork index {embeddings.uri} output={uri}`")
    for name, own, wanted in (
        ("weights", manifest.weights, embeddings.weights),
        ("projection", manifest.projection, embeddings.projection),
        ("snapshot", str(manifest.snapshot), str(snapshot)),
    ):
        if own != wanted:
            raise InputError(
                f"{uri} is of {name} {own[:12]}, and {embeddings.uri} of {wanted[:12]}: "
                "run `tuningfork index` again"
            )
    return Index(uri, manifest)


def check_library() -> None:
    """Make sure that Faiss is there.

    Raises
    ------
    InputError
        If it isn't.
    """
    _faiss()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError("an index needs the package faiss-cpu: pip install 'tuningfork[index]'") from error
    return faiss


def _units(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    decoded = vectors.astype(np.float32)
    units: NDArray[np.float32] = decoded / np.maximum(np.linalg.norm(decoded, axis=1, keepdims=True), 1.0)
    return units


def _coarsely(
    made: Any, wanted: NDArray[np.float64], count: int, within: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Rows of a shard that its lists bring up, of some rows if these are given; about `count`."""
    faiss = _faiss()
    # Lists with four times as many rows as are asked for: of so many, nearly all that matter.
    lists = max(_LISTS_SEARCHED, -(-4 * count * made.nlist // made.ntotal))
    chosen = None if within is None else faiss.IDSelectorBatch(within)
    how = faiss.SearchParametersIVF(nprobe=min(lists, made.nlist), sel=chosen)
    _, places = made.search(np.ascontiguousarray(wanted[None], np.float32), count, params=how)
    found: NDArray[np.int64] = places[0][places[0] >= 0]
    return found


def _tiles(batch: EmbeddingBatch, order: int) -> NDArray[np.int64]:
    ra, dec, placed = positions(batch.rows)
    tiles = np.full(len(batch), NOWHERE, np.int64)
    tiles[placed] = healpix_pixels(ra[placed], dec[placed], order)
    return tiles


def _row_digests(batch: EmbeddingBatch) -> NDArray[np.uint64]:
    """A number of 64 bits for each row, by its id and its vector; their sum doesn't depend on the order."""
    ids = batch.rows["object_id"].to_numpy(zero_copy_only=False)
    digests = pd.util.hash_array(ids, categorize=False)
    for word in np.ascontiguousarray(batch.vectors).view(np.uint64).T:
        digests = (digests ^ word) * _MIX
        digests ^= digests >> np.uint64(29)
    return np.asarray(digests, np.uint64)


def _folder(index: str) -> str:
    return storage.join(index, "shards")


def _file(index: str, shard: Shard, suffix: str) -> str:
    return storage.join(_folder(index), f"{shard.name}.{suffix}")


def _stem(uri: str) -> str:
    return storage.name(uri).rpartition(".")[0]
