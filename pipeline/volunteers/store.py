"""The table of votes: a Delta table to which exports add what is new, each classification once.

Exports of the Zooniverse hold all classifications so far. What is new is known by the classification's id;
data files are written first, and one commit makes them part of the table: whatever is killed before it leaves
files that nothing refers to, and the same command does the work again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.delta import find_table, load_table, snapshot_files
from pipeline.catalogue.files import write_data_files
from pipeline.errors import HeldError, InputError
from pipeline.faults import crash_point
from pipeline.volunteers.exports import Piece
from pipeline.volunteers.records import QUARANTINE, VOTES

_APPLICATION = "votes"
"""The application whose transactions in the log make racing commits fail."""

_MOST_QUARANTINED = 1_000_000
_BATCH_ROWS = 131_072


@dataclass(frozen=True)
class Added:
    """What a command added.

    Attributes
    ----------
    classifications, votes
        How many are new.
    again
        Classifications that the table had already, or that came twice.
    quarantined
        Rows of the export that can't be used.
    """

    classifications: int
    votes: int
    again: int
    quarantined: int


def votes_uri(output: str) -> str:
    """Where the table of votes of an output is."""
    return storage.join(output, "votes")


def add_votes(
    output: str, pieces: Iterable[Piece], progress: Callable[[int], None] = lambda rows: None
) -> Added:
    """Add the classifications that the table doesn't have yet, all in one version, and write the quarantine.

    Raises
    ------
    HeldError
        If another command added votes meanwhile; nothing is added then.
    InputError
        If the table or the export can't be read, or a million rows are malformed.
    """
    uri = votes_uri(output)
    table = _open_or_create(uri)
    base = table.version()
    counted = ClassificationIds(_ids_of(uri, table))
    counts = {"classifications": 0, "votes": 0, "again": 0}
    quarantined: list[pa.Table] = []

    def new_votes() -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            quarantined.append(piece.quarantine)
            if sum(map(len, quarantined)) > _MOST_QUARANTINED:
                raise InputError(
                    f"more than {_MOST_QUARANTINED:,} rows can't be used, the first of them for: "
                    f"{next(q['reason'][0].as_py() for q in quarantined if len(q))}; check export and mapping"
                )
            votes, again = counted.take_new(piece.votes)
            counts["again"] += again + piece.repeated
            counts["votes"] += len(votes)
            progress(piece.rows)
            yield from votes.combine_chunks().to_batches(_BATCH_ROWS)

    files = write_data_files(uri, VOTES, new_votes())
    counts["classifications"] = counted.taken
    bad = pa.concat_tables(quarantined) if quarantined else QUARANTINE.empty_table()
    _write_quarantine(output, bad)
    crash_point("after_vote_files")
    if files:
        with _race_reported(uri, base), storage.explained("commit to", uri), storage.panics_unprinted():
            table.create_write_transaction(
                list(files),
                mode="append",
                schema=table.schema(),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(_APPLICATION, base + 1)], max_commit_retries=0
                ),
            )
        crash_point("after_votes")
    return Added(**counts, quarantined=len(bad))


class ClassificationIds:
    """The ids of all classifications that are in the table, and of those that are about to be.

    Sorted arrays, merged when two are of about the same size: eight bytes an id.
    """

    def __init__(self, ids: Iterable[NDArray[np.int64]]) -> None:
        self._sorted: list[NDArray[np.int64]] = []
        self.taken = 0
        for some in ids:
            self._add(np.unique(some))

    def take_new(self, votes: pa.Table) -> tuple[pa.Table, int]:
        """The votes of classifications that aren't known; they are known from then on.

        Returns
        -------
        votes
            The new ones. Of a classification that comes twice it's the first.
        again
            How many classifications were known, or came twice.
        """
        ids = votes["classification_id"].to_numpy()
        starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, np.int64)
        each = ids[starts]
        distinct, first = np.unique(each, return_index=True)
        new = np.zeros(len(each), bool)
        new[first[~self._holds(distinct)]] = True
        self._add(np.sort(each[new]))
        self.taken += int(new.sum())
        rows = np.repeat(new, np.diff(np.r_[starts, len(ids)]))
        return votes.filter(pa.array(rows)), int(len(each) - new.sum())

    def _holds(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        held = np.zeros(len(ids), bool)
        for some in self._sorted:
            places = np.searchsorted(some, ids).clip(max=len(some) - 1)
            held |= some[places] == ids
        return held

    def _add(self, ids: NDArray[np.int64]) -> None:
        while self._sorted and len(self._sorted[-1]) <= 2 * len(ids):
            ids = np.union1d(self._sorted.pop(), ids)
        if len(ids):
            self._sorted.append(ids)


def read_votes_table(uri: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a table of votes; text is dictionary-encoded.

    Raises
    ------
    InputError
        If there is no table of votes, or it can't be read.
    """
    table = load_table(uri)
    if table is None or table.schema().to_arrow().names != VOTES.names:
        raise InputError(f"{uri} is not a table of votes; expected the folder `votes` that `votes` made")
    yield from _batches(uri, table, columns)


def _batches(uri: str, table: DeltaTable, columns: list[str]) -> Iterator[pa.RecordBatch]:
    text = [name for name in columns if pa.types.is_string(VOTES.field(name).type)]
    for file in snapshot_files(uri, table):
        fs, path = storage.filesystem(file.uri)
        with storage.explained("read", file.uri), fs.open(path, "rb") as stream:
            yield from pq.ParquetFile(stream, read_dictionary=text).iter_batches(_BATCH_ROWS, columns=columns)


def _ids_of(uri: str, table: DeltaTable) -> Iterator[NDArray[np.int64]]:
    for batch in _batches(uri, table, ["classification_id"]):
        yield pc.unique(batch["classification_id"]).to_numpy()


def _open_or_create(uri: str) -> DeltaTable:
    table = load_table(uri)
    if table is not None:
        return table
    with storage.explained("create", uri), storage.panics_unprinted():
        try:
            DeltaTable.create(
                uri,
                VOTES,
                mode="error",
                name="Votes",
                description="Answers of volunteers, one a row",
                storage_options=storage.delta_options(uri),
            )
        except (DeltaError, OSError):
            if find_table(uri) is None:
                raise
    made = load_table(uri)
    assert made is not None
    return made


@contextlib.contextmanager
def _race_reported(uri: str, base: int) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if isinstance(error.__cause__, CommitFailedError):
            now = load_table(uri)
            if now is not None and now.version() > base:
                raise HeldError(
                    f"another command added votes to {uri} meanwhile, and this one none; run it again"
                ) from error
        raise


def _write_quarantine(output: str, rows: pa.Table) -> None:
    """Under a name made of the content, so that the same export leaves one file however often it is read."""
    if not len(rows):
        return
    rows = rows.sort_by([("file", "ascending"), ("row", "ascending")]).combine_chunks()
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    digest = hashlib.sha256(sink.getvalue()).hexdigest()[:16]
    storage.write_bytes(storage.join(output, "quarantine", f"{digest}.parquet"), sink.getvalue())
