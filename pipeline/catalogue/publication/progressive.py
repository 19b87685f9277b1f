"""The progressive catalogue of an edition (HiPS), which Aladin shows: tiles as tab-separated values.

References
----------
IVOA recommendation HiPS 1.0, 2017. What viewers expect beyond it: Aladin Lite takes the second line of a tile
for the names of its columns, and reads ``Norder1/Allsky.tsv``, ``Norder2/Allsky.tsv`` and ``Metadata.xml``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.embedding import EMBEDDING
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.hats import INDEX
from pipeline.catalogue.publication.census import row_digests
from pipeline.catalogue.publication.editions import Edition
from pipeline.catalogue.publication.tiles import (
    ALLSKY_ORDERS,
    Tile,
    assign_tiles,
    best_first,
    numbers_of,
)
from pipeline.catalogue.snapshot import Progress
from pipeline.digest import digest
from pipeline.errors import InputError

FOLDER = "hips"

_FIRST = ("ra", "dec", "object_id")  # a number begins each line, for one that begins with # is a comment
_LEFT_OUT = (EMBEDDING, "run", "weights", "input", "content")
_CONFIDENCE = "class_confidence"


@dataclass(frozen=True)
class Progressive:
    """What a progressive catalogue has.

    Attributes
    ----------
    columns
        Columns of its tiles.
    rank
        The column by which galaxies are ranked.
    order
        Of its smallest tiles.
    """

    columns: pa.Schema
    rank: str
    order: int
    tiles: int


def tile_columns(source: ExportedRows) -> pa.Schema:
    """Columns of the tiles: where each galaxy is, and its answers; no bounds, vectors or checksums."""
    names = [
        name
        for name in source.schema.names
        if name not in (*_FIRST, *_LEFT_OUT) and not name.endswith(("_low", "_high", "_volunteers"))
    ]
    return pa.schema([source.schema.field(name) for name in (*_FIRST, *names)])


def rank_column(source: ExportedRows, asked: str | None) -> str:
    """The column by which galaxies are ranked: how sure the answers are, where no other is asked for.

    Raises
    ------
    InputError
        If there is none of that name, or it holds no numbers.
    """
    default = f"{source.tree.questions[0].key}_agreement"
    name = asked or (_CONFIDENCE if _CONFIDENCE in source.schema.names else default)
    numbers = [field.name for field in source.schema if pa.types.is_floating(field.type)]
    if name not in numbers:
        raise InputError(
            f"rank={name}: the catalogue has no column of numbers of this name; expected one such as "
            f"{default}, or {', '.join(numbers[2:5])}"
        )
    return name


def publish_tiles(
    source: ExportedRows, partitions: Sequence[str], edition: Edition, rank: str, progress: Progress
) -> Progressive:
    """Write those tiles that the edition before doesn't have, from the partitions of the HATS catalogue.

    Parameters
    ----------
    partitions
        Their paths in the edition, in the order of the sky.
    progress
        Called with the number of rows just read.
    """
    columns = tile_columns(source)
    parts = _Partitions(edition, partitions, columns, rank)
    layout = digest(columns.to_string(truncate_metadata=False), rank)
    with tempfile.TemporaryDirectory() as folder:
        rows = _Rows(Path(folder), parts, progress)
        tiles = assign_tiles(rows.places, rows.ranks, rows.digests, rows.orders)
        keys = {tile.number: _key(layout, tile) for tile in tiles}
        missing = [tile for tile in tiles if not edition.take(_path(tile), keys[tile.number])]
        for tile, lines in rows.of_tiles(missing):
            edition.put(_path(tile), _text(columns, tile.shown, tile.within, lines), keys[tile.number])
    for order in ALLSKY_ORDERS:
        _put_allsky(
            edition, columns, order, tiles, [keys[tile.number] for tile in tiles if tile.order == order]
        )
    deepest = max((*ALLSKY_ORDERS, *(tile.order for tile in tiles)))
    return Progressive(columns, rank, deepest, len(tiles))


class _Partitions:
    """The partitions of an edition's HATS catalogue, read one at a time."""

    def __init__(self, edition: Edition, names: Sequence[str], columns: pa.Schema, rank: str) -> None:
        self.names = names
        self.columns = columns
        self._edition = edition
        self._rank = rank

    def read(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32], pa.Table]:
        """Pixels of order 29, ranks, and the columns of the tiles."""
        wanted = list(dict.fromkeys([INDEX.name, self._rank, *self.columns.names]))
        with self._edition.open(name) as stream:
            table = pq.read_table(stream, columns=wanted)
        ranks = table[self._rank].cast(pa.float32()).to_numpy().astype(np.float32)
        return table[INDEX.name].to_numpy(), ranks, table.select(self.columns.names)


class _Rows:
    """Of each galaxy its place, rank, digest and tile, in files on disk."""

    def __init__(self, folder: Path, partitions: _Partitions, progress: Progress) -> None:
        self._partitions = partitions
        self._stops: list[int] = []
        names = ("places", "ranks", "digests")
        count = 0
        with (
            (folder / "places").open("wb") as places,
            (folder / "ranks").open("wb") as ranks,
            (folder / "digests").open("wb") as digests,
        ):
            for name in partitions.names:
                place, rank, table = partitions.read(name)
                for stream, values in zip(
                    (places, ranks, digests), (place, rank, row_digests(table)), strict=True
                ):
                    stream.write(np.ascontiguousarray(values).tobytes())
                count += len(place)
                self._stops.append(count)
                progress(len(place))
        kinds = (np.int64, np.float32, np.uint64)
        self.places, self.ranks, self.digests = (
            np.memmap(folder / name, kind, "r", shape=(count,))
            for name, kind in zip(names, kinds, strict=True)
        )
        self.orders = np.memmap(folder / "orders", np.uint8, "w+", shape=(count,))

    def of_tiles(self, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, pa.StringArray]]:
        """The lines of some tiles, the best galaxy first; tiles are whole in the order of the sky."""
        wanted = {tile.number: tile for tile in tiles}
        numbers = np.array(sorted(wanted), np.int64)
        open_tiles: dict[int, list[tuple[NDArray[np.float32], pa.StringArray]]] = {}
        for name, start, stop in zip(self._partitions.names, [0, *self._stops], self._stops, strict=False):
            tile_of = numbers_of(self.places[start:stop], self.orders[start:stop])
            rows = np.flatnonzero(np.isin(tile_of, numbers))
            if not len(rows):
                continue
            _, ranks, table = self._partitions.read(name)
            lines = _lines(table.take(rows))
            by_tile = np.argsort(tile_of[rows], kind="stable")
            tile_numbers, first = np.unique(tile_of[rows][by_tile], return_index=True)
            for number, mine in zip(tile_numbers.tolist(), np.split(by_tile, first[1:]), strict=True):
                parts = open_tiles.setdefault(number, [])
                parts.append((ranks[rows[mine]], lines.take(pa.array(mine))))
                if sum(len(part) for part, _ in parts) == wanted[number].rows:
                    best = best_first(np.concatenate([rank for rank, _ in parts]))
                    whole = pa.concat_arrays([line for _, line in open_tiles.pop(number)])
                    yield wanted[number], whole.take(pa.array(best))


def _lines(table: pa.Table) -> pa.StringArray:
    """Rows as lines of tab-separated values, null as nothing."""
    texts = []
    for column in table.columns:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        text = column.cast(pa.string())
        if pa.types.is_string(column.type):
            text = pc.replace_substring_regex(text, r"[\t\r\n]+", " ")
        texts.append(text)
    joined = pc.binary_join_element_wise(*texts, "\t", null_handling="replace", null_replacement="")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _text(columns: pa.Schema, shown: int, within: int, lines: pa.StringArray) -> bytes:
    head = f"# Completeness = {shown} / {within}\n" + "\t".join(columns.names) + "\n"
    return (head + "".join(f"{line}\n" for line in lines.to_pylist())).encode()


def _put_allsky(
    edition: Edition, columns: pa.Schema, order: int, tiles: Sequence[Tile], keys: Sequence[str]
) -> None:
    """All tiles of an order in one file, which viewers want even where there is no such tile."""
    mine = sorted((tile for tile in tiles if tile.order == order), key=lambda tile: tile.pixel)
    within = sum(tile.within for tile in tiles if tile.order == ALLSKY_ORDERS[0])
    shown = sum(tile.rows for tile in tiles if tile.order <= order)
    name, key = f"{FOLDER}/Norder{order}/Allsky.tsv", digest("allsky", columns.names, within, shown, *keys)
    if edition.take(name, key):
        return
    head = _text(columns, shown, within, pa.array([], pa.string()))
    bodies = (storage.read_bytes(edition.place(_path(tile))).split(b"\n", 2)[2] for tile in mine)
    edition.put(name, head + b"".join(bodies), key)


def _path(tile: Tile) -> str:
    return f"{FOLDER}/{tile.name}"


def _key(layout: str, tile: Tile) -> str:
    return digest(layout, tile.rows, tile.shown, tile.within, tile.digest)
