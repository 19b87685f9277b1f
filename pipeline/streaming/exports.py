"""Exports of classifications by Ray Data: a file a task, its votes to the driver a block at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import ray

from pipeline.errors import InputError
from pipeline.streaming.cluster import connect
from pipeline.tree import DecisionTree
from pipeline.volunteers.exports import Piece, read_export
from pipeline.volunteers.mapping import Mapping


def stream_exports(files: list[str], mapping: Mapping, tree: DecisionTree) -> Iterator[Piece]:
    """What `read_export` reads of each file, files side by side, in whatever order it comes.

    Raises
    ------
    InputError
        If a file can't be used.
    """
    connect()

    def read(batch: pa.Table) -> Iterator[pa.Table]:
        for file in map(str, batch["item"].to_pylist()):
            try:
                for piece in read_export(file, mapping, tree):
                    yield _packed(piece)
            except InputError as error:
                yield _row(b"", b"", 0, 0, str(error))

    dataset = ray.data.from_items(files, override_num_blocks=len(files)).map_batches(
        read, batch_size=1, batch_format="pyarrow"
    )
    for row in dataset.iter_rows():
        if row["error"]:
            raise InputError(row["error"])
        yield Piece(_unpacked(row["votes"]), _unpacked(row["quarantine"]), row["rows"], row["repeated"])


def _packed(piece: Piece) -> pa.Table:
    return _row(_serialized(piece.votes), _serialized(piece.quarantine), piece.rows, piece.repeated, "")


def _row(votes: bytes, quarantine: bytes, rows: int, repeated: int, error: str) -> pa.Table:
    return pa.table(
        {
            "votes": pa.array([votes], pa.large_binary()),
            "quarantine": pa.array([quarantine], pa.large_binary()),
            "rows": pa.array([rows], pa.int64()),
            "repeated": pa.array([repeated], pa.int64()),
            "error": pa.array([error], pa.string()),
        }
    )


def _serialized(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _unpacked(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
