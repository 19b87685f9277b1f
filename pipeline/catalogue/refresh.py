"""A refresh: which rows of the source are classified, and what becomes of those that the catalogue has.

A row is told by its ``object_id`` and a digest of its content. A shard that an earlier run read, and that has
not changed since, is not even opened.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.hashes import hash_rows
from pipeline.cutouts.place import Place
from pipeline.errors import InputError
from pipeline.protocol.fingerprint import COMPLETED, declared, in_words
from pipeline.protocol.plan import Plan, PlannedShard
from pipeline.protocol.records.quarantine import GONE, UNREADABLE

ReadIds = Callable[[str], pa.ChunkedArray]
"""A function from an input shard's URI to its object_id column, as strings."""

ReadContents = Callable[[PlannedShard], pa.Table]
"""A function from an input shard to its columns ``object_id, content``; null where a row can't be read."""

DECIDING = (
    "weights",
    "tree",
    "transforms",
    "precision",
    "decoder",
    "uncertainty",
    "embedding",
    "rejection",
    "clumps",
    "survey",
    "schema",
    "numerics",
)
"""The parts of a run's fingerprint on which every row depends: if one changes, all is classified anew."""

READING = ("schema", "classes")
"""The parts on which only that depends which follows from probabilities: it is made anew from them."""

INPUT = r"^(?P<shard>.*)#(?P<row>\d{1,18})$"
"""The pattern of the catalogue's ``input`` column: shard and row."""


def changed_settings(base: Plan, fingerprint: dict[str, str]) -> list[str]:
    """How the fingerprint differs, in words, from an earlier run's in what every row depends on."""
    before = declared(base.fingerprint)
    completed = {"schema"} if before.get("schema") in COMPLETED else set()
    return _changes(before, fingerprint, (name for name in DECIDING if name not in completed))


def changed_readings(base: Plan, fingerprint: dict[str, str]) -> list[str]:
    """How it differs in what only that depends on which follows from a row's probabilities."""
    return _changes(declared(base.fingerprint), fingerprint, READING)


def _changes(before: Mapping[str, str], after: Mapping[str, str], names: Iterable[str]) -> list[str]:
    return [
        in_words(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def same_source(shards: Sequence[PlannedShard], base: Plan) -> bool:
    """Whether the shards of the source are those that an earlier run read, with the same content."""
    return len(shards) == len(base.shards) and all(map(PlannedShard.same_content, shards, base.shards))


class RowHashes:
    """Hashes of the ids and contents of a catalogue's rows: 16 bytes a row.

    By them a refresh tells which rows of the source the catalogue has already, and which of the catalogue's
    rows the source has no longer.

    Parameters
    ----------
    rows
        Rows of the catalogue, with these `COLUMNS`.
    runs
        Runs whose answers count; of rows of other runs just the ids are kept. None for all runs.
    """

    COLUMNS = ("object_id", "content", "input", "stale", "run")

    def __init__(self, rows: Iterable[pa.RecordBatch], runs: Sequence[str] | None = None) -> None:
        contents, ids, shards = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], []
        for batch in rows:
            table = pa.Table.from_batches([batch])
            table = table.filter(table["stale"].is_null())
            counted = (
                table if runs is None else table.filter(pc.is_in(table["run"], pa.array(runs, pa.string())))
            )
            contents.append(hash_rows(counted.select(["object_id", "content"])))
            ids.append(hash_rows(table.select(["object_id"])))
            shards.append(input_shards(table["input"]).dictionary_encode())
        self._contents = np.sort(np.concatenate(contents))
        self._ids = np.concatenate(ids)
        self._shards = pa.chunked_array(shards, pa.dictionary(pa.int32(), pa.string()))

    def has(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Whether the catalogue has each row, of columns ``object_id, content``, with the same content."""
        hashes = hash_rows(rows)
        places = np.searchsorted(self._contents, hashes)
        places[places == len(self._contents)] = 0
        matching = self._contents[places] == hashes if len(self._contents) else np.zeros(len(hashes), bool)
        return np.asarray(matching & rows["content"].is_valid().to_numpy())

    def gone(self, carried: Sequence[str], present: NDArray[np.uint64]) -> int:
        """How many rows of the catalogue the source has no longer.

        Parameters
        ----------
        carried
            Shards that are unchanged: all their rows are still there, and are not looked for.
        present
            Hashes of the ids in all other shards.
        """
        kept = pc.is_in(self._shards.cast(pa.string()), pa.array(carried, pa.string())).to_numpy()
        return int((~kept & ~np.isin(self._ids, present)).sum())


def input_shards(inputs: pa.ChunkedArray) -> pa.Array:
    """The shards that an ``input`` column names."""
    return pc.struct_field(pc.extract_regex(_as_one_array(inputs), INPUT), 0)


def select_rows(
    shards: Sequence[PlannedShard],
    relied_on: Sequence[PlannedShard],
    hashes: RowHashes,
    read_contents: ReadContents,
) -> tuple[list[PlannedShard], int]:
    """Mark the rows that are to be classified: those that the catalogue hasn't, or has with other content.

    Parameters
    ----------
    relied_on
        Shards as an earlier run read them, whose rows are sure to be among `hashes`; one that is still so
        is carried over unread.

    Returns
    -------
    shards
        With `selected` and `carried` set.
    gone : int
        Rows of the catalogue that the source has no longer.
    """
    before = {shard.uri: shard for shard in relied_on}

    def compare(shard: PlannedShard) -> tuple[PlannedShard, NDArray[np.uint64]]:
        earlier = before.get(shard.uri)
        if earlier is not None and shard.same_content(earlier):
            return shard.model_copy(update={"selected": (), "carried": True}), np.zeros(0, np.uint64)
        rows = read_contents(shard)
        if len(rows) != shard.rows:
            raise InputError(
                f"{shard.uri} has {len(rows)} rows and had {shard.rows} a moment ago: it is being written; "
                "refresh when it is complete"
            )
        same = hashes.has(rows)
        same[list(shard.duplicates)] = False
        return shard.model_copy(update={"selected": _ranges(~same)}), hash_rows(rows.select(["object_id"]))

    compared = list(storage.read_ahead(compare, shards))
    marked = [shard for shard, _ in compared]
    carried = [shard.uri for shard in marked if shard.carried]
    present = np.concatenate([np.zeros(0, np.uint64), *(ids for _, ids in compared)])
    return marked, hashes.gone(carried, present)


class Keeper:
    """Makes of the rows of the earlier snapshot those that a refresh keeps.

    A row stays if the source still has it as it was; its ``input`` says where. One that was classified anew
    is left out, for its new row comes beside. Any other stays as it was, marked in ``stale``.

    Parameters
    ----------
    read_ids
        Reads the ids of those shards that aren't carried.
    rejects
        All rows that can't be classified now, with columns ``object_id, reason``.
    """

    def __init__(self, plan: Plan, read_ids: ReadIds, rejects: pa.Table) -> None:
        real = rejects.filter(pc.not_equal(rejects["reason"], "duplicate_object_id"))
        self._rejected = _as_one_array(real["object_id"].drop_null())
        self._carried = pa.array([shard.uri for shard in plan.shards if shard.carried], pa.string())
        others = [shard for shard in plan.shards if not shard.carried]
        moved: list[pa.ChunkedArray] = []
        inputs: list[pa.Array] = []
        anew: list[pa.ChunkedArray] = []
        for shard, ids in zip(
            others, storage.read_ahead(functools.partial(_ids_of, read_ids), others), strict=True
        ):
            selected = np.zeros(shard.rows, bool)
            for start, stop in shard.ranges:
                selected[start:stop] = True
            rows = np.flatnonzero(~selected)
            moved.append(ids.take(pa.array(rows)))
            inputs.append(pa.array([str(Place(shard.uri, row)) for row in rows.tolist()], pa.string()))
            selected[list(shard.duplicates)] = False
            anew.append(ids.filter(pa.array(selected)))
        self._moved, self._inputs = _joined(moved), pa.concat_arrays([pa.array([], pa.string()), *inputs])
        self._anew = _joined(anew)
        self.counts: Counter[str] = Counter()
        """Rows that are stale, by mark, among those seen."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch of the earlier snapshot that the new one keeps, as the new one has them."""
        rejected = pc.is_in(batch["object_id"], self._rejected)
        batch = batch.filter(pc.or_(rejected, pc.invert(pc.is_in(batch["object_id"], self._anew))))
        place = pc.index_in(batch["object_id"], self._moved)
        current = pc.and_(batch["stale"].is_null(), pc.is_in(input_shards(batch["input"]), self._carried))
        current = pc.or_(current, place.is_valid())
        rejected = pc.is_in(batch["object_id"], self._rejected)
        stale = pc.if_else(current, pa.scalar(None, pa.string()), pc.if_else(rejected, UNREADABLE, GONE))
        self.counts.update(stale.drop_null().to_pylist())
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns["input"] = pc.coalesce(self._inputs.take(place), batch["input"])
        columns["stale"] = stale
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def _ids_of(read_ids: ReadIds, shard: PlannedShard) -> pa.ChunkedArray:
    ids = read_ids(shard.uri)
    if len(ids) != shard.rows:
        raise InputError(
            f"{shard.uri} has {len(ids)} rows and had {shard.rows} when this run was planned; refresh again"
        )
    return ids


def _ranges(marked: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Ranges [start, stop) of the places that are marked."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def _joined(columns: list[pa.ChunkedArray]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.string()), *(_as_one_array(column) for column in columns)])


def _as_one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def kept_batches(batches: Iterable[pa.RecordBatch], keeper: Keeper) -> Iterator[pa.RecordBatch]:
    """The rows of the earlier snapshot that the new one keeps, as the new one has them (see `Keeper`)."""
    for batch in batches:
        kept = keeper(batch)
        if len(kept):
            yield kept
