"""Sources whose rows are files, or members of a file: an index says which, and it's made in one pass.

The index of a shard holds all that is known of its galaxies but the images: ids, positions, and what is wrong
with them. A run keeps it beside its plan, so that whoever reads a unit need not list or pass again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.contents import contents_of
from pipeline.cutouts.reading import SalvagedRows, ShardInfo, check_range
from pipeline.cutouts.table import CUTOUT_SCHEMA, SIZE
from pipeline.errors import InputError
from pipeline.images import BandImages
from pipeline.images.decode import MAX_FILE_BYTES
from pipeline.survey.formats.pictures import open_bytes
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import pieces

INDEX_SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        (SIZE, pa.float64()),
        ("reason", pa.string()),
        ("message", pa.string()),
        (
            "parts",
            pa.list_(
                pa.struct(
                    [
                        ("band", pa.string()),
                        ("file", pa.string()),
                        ("offset", pa.int64()),
                        ("size", pa.int64()),
                    ]
                )
            ),
        ),
    ]
)
"""Columns of an index, one row a galaxy.

A part of a galaxy is a file or, where it has an offset, bytes of one. Its band is null if it holds all bands,
its file null if that is the shard itself."""

_GAP = 64 << 10
"""Most bytes between two ranges of a file that are fetched in one request."""

_BLOCK = 32 << 20
"""Most bytes that are fetched in one request."""


@dataclass(frozen=True)
class Part:
    """Where the bytes of an image are: see `INDEX_SCHEMA`."""

    band: str | None
    file: str | None
    offset: int | None
    size: int


@dataclass(frozen=True)
class Galaxy:
    """A row of an index.

    Attributes
    ----------
    problem
        Reason and message, if the row is bad as found.
    """

    object_id: str | None
    parts: tuple[Part, ...]
    ra: float | None = None
    dec: float | None = None
    size: float | None = None
    problem: tuple[str, str] | None = None


@dataclass(frozen=True)
class ShardIndex:
    """A shard and the index of its rows (`INDEX_SCHEMA`)."""

    uri: str
    size: int
    etag: str
    table: pa.Table

    @property
    def info(self) -> ShardInfo:
        """What there is to say of the shard as a whole: URI, size, etag and number of rows."""
        return ShardInfo(self.uri, self.size, self.etag, len(self.table))


def index_table(galaxies: Iterable[Galaxy]) -> pa.Table:
    """Galaxies as a table of `INDEX_SCHEMA`."""
    rows = []
    for galaxy in galaxies:
        reason, message = galaxy.problem or (None, None)
        parts = [
            {"band": part.band, "file": part.file, "offset": part.offset, "size": part.size}
            for part in galaxy.parts
        ]
        rows.append(
            {
                "object_id": galaxy.object_id,
                "ra": galaxy.ra,
                "dec": galaxy.dec,
                SIZE: galaxy.size,
                "reason": reason,
                "message": message,
                "parts": parts,
            }
        )
    return pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)


MakeIndex = Callable[[str, SurveySettings], Iterator[ShardIndex]]
"""Makes the indexes of all shards below a URI, in order."""


@dataclass
class IndexedSource:
    """A survey of which an index tells where each galaxy's bytes are (see `pipeline.survey.source.Source`).

    Attributes
    ----------
    make
        The format's own part: makes indexes.
    root
        From a shard's URI to one below which `make` finds it.
    folder
        Where a run keeps the indexes; None to make them anew.
    """

    survey: SurveySettings
    make: MakeIndex
    root: Callable[[str], str]
    folder: str | None = None
    _indexes: dict[str, ShardIndex] = field(default_factory=dict)

    def list_shards(self, uri: str) -> list[ShardInfo]:
        """The shards below a URI, in order; one pass over all files makes their indexes."""
        self._indexes = {index.uri: index for index in self.make(uri, self.survey)}
        return [index.info for index in self._indexes.values()]

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a shard: of the file as it is now, or, if it is a group of files, as indexed."""
        if self.root(shard) == shard:
            return storage.file_info(shard)
        index = self._index(shard)
        return storage.FileInfo(index.uri, index.size, index.etag)

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a shard, which its index holds."""
        return self._index(shard).table["object_id"]

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) in pieces of some rows each, for any row can be fetched by itself."""
        return pieces(start, stop)

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop), which are read whole for it."""
        return contents_of(self.read_rows(shard, start, stop))

    def read_rows(self, shard: str, start: int, stop: int) -> SalvagedRows:
        """Read rows [start, stop); just their bytes are fetched, those of neighbours in one request."""
        table = self._index(shard).table
        check_range(shard, len(table), start, stop)
        rows = table.slice(start, stop - start).to_pylist()
        problems = {
            offset: (row["reason"], row["message"]) for offset, row in enumerate(rows) if row["reason"]
        }
        parts_of_rows = [
            [] if offset in problems else [_part(part, shard) for part in row["parts"]]
            for offset, row in enumerate(rows)
        ]
        images: list[list[tuple[str | None, bytes | None]]] = []
        for offset, contents in enumerate(_fetch(parts_of_rows)):
            files: list[tuple[str | None, bytes | None]] = []
            for part, content in contents:
                if isinstance(content, bytes):
                    files.append((part.band, content))
                else:
                    problems.setdefault(offset, content)
            images.append(files)
        schema = CUTOUT_SCHEMA
        if self.survey.frame is not None and self.survey.frame.column is not None:
            schema = schema.append(pa.field(SIZE, pa.float64()))
        facts = [{name: row[name] for name in ("object_id", "ra", "dec", SIZE)} for row in rows]
        return SalvagedRows(pa.Table.from_pylist(facts, schema=schema), problems, images)

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """Pixels or fluxes of a galaxy, from the bytes of its files."""
        return open_bytes(image, self.survey, sky)

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write the indexes of shards into a folder, by default of all that were listed."""
        indexes = self._indexes.values() if shards is None else [self._index(shard) for shard in shards]

        def write(index: ShardIndex) -> None:
            sink = io.BytesIO()
            described = {"uri": index.uri, "size": str(index.size), "etag": index.etag}
            pq.write_table(index.table.replace_schema_metadata(described), sink, compression="zstd")
            storage.create(_place(folder, index.uri), sink.getvalue())

        for _ in storage.read_ahead(write, indexes):
            pass

    def _index(self, shard: str) -> ShardIndex:
        if shard not in self._indexes:
            root = self.root(shard)
            if self.folder is not None:  # one at a time: the units of a shard come together
                self._indexes = {shard: _load(self.folder, shard)}
            elif storage.exists(root):
                self._indexes = {index.uri: index for index in self.make(root, self.survey)}
        if shard not in self._indexes:
            raise InputError(
                f"{shard} is gone; expected it as the run was planned: start a new run"
            ) from FileNotFoundError(shard)
        return self._indexes[shard]


def _place(folder: str, shard: str) -> str:
    return storage.join(folder, f"{hashlib.sha256(shard.encode()).hexdigest()[:16]}.parquet")


def _load(folder: str, shard: str) -> ShardIndex:
    place = _place(folder, shard)
    data = storage.read_bytes(place)
    try:
        table = pq.read_table(io.BytesIO(data))
        described = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return ShardIndex(described["uri"], int(described["size"]), described["etag"], table)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{place} is not an index of this version: remove it and run the same command again"
        ) from error


Content = bytes | tuple[str, str]
"""The bytes of a part, or a reason and a message why there are none."""


def _part(part: dict[str, Any], shard: str) -> Part:
    return Part(part["band"], part["file"] or shard, part["offset"], part["size"])


def _fetch(galaxies: Sequence[Sequence[Part]]) -> Iterator[list[tuple[Part, Content]]]:
    """The parts of each galaxy in turn, each with its bytes or the reason why there are none."""
    parts = [part for galaxy in galaxies for part in galaxy]
    contents: dict[Part, Content] = {
        part: ("too_large", f"{part.file} has {part.size} bytes; at most {MAX_FILE_BYTES} make a cutout")
        for part in parts
        if part.size > MAX_FILE_BYTES
    }
    whole_files = [part for part in parts if part.offset is None and part not in contents]
    contents |= dict(zip(whole_files, storage.read_ahead(_read_file, whole_files), strict=True))
    blocks = merged([part for part in parts if part.offset is not None and part not in contents])
    for block in storage.read_ahead(_read_block, blocks):
        contents |= block
    for galaxy in galaxies:
        yield [(part, contents[part]) for part in galaxy]


def merged(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts of files in groups that are fetched in one request each: near to each other, and not too much."""
    blocks: list[list[Part]] = []
    for part in sorted(set(parts), key=lambda part: (part.file or "", part.offset or 0, part.size)):
        assert part.offset is not None
        last = blocks[-1] if blocks else None
        if last is not None and last[0].file == part.file and last[0].offset is not None:
            end = max((other.offset or 0) + other.size for other in last)
            if part.offset - end <= _GAP and part.offset + part.size - last[0].offset <= _BLOCK:
                last.append(part)
                continue
        blocks.append([part])
    return blocks


def _read_block(block: list[Part]) -> dict[Part, Content]:
    start = min(part.offset or 0 for part in block)
    stop = max((part.offset or 0) + part.size for part in block)
    data = storage.read_range(str(block[0].file), start, stop) if stop > start else b""
    contents: dict[Part, Content] = {}
    for part in block:
        first = (part.offset or 0) - start
        content = data[first : first + part.size]
        contents[part] = (
            content
            if len(content) == part.size
            else ("truncated", f"{part.file} ends inside the image, {part.size - len(content)} bytes early")
        )
    return contents


def _read_file(part: Part) -> Content:
    try:
        return storage.read_bytes(str(part.file))
    except InputError as error:
        if storage.exists(str(part.file)):
            raise
        return "unreadable_rows", f"{error}; it is a link to nothing, or was there when the run was planned"
