"""The files of a run under verification: its parts, its quarantine, and the catalogue's."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline import storage
from pipeline.catalogue.delta import SnapshotFile
from pipeline.catalogue.files import recorded_digest, statistics_of
from pipeline.catalogue.hashes import hash_rows
from pipeline.catalogue.schema import planned_schema
from pipeline.errors import InputError
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.ledger import LedgerEntry, StoredTable
from pipeline.protocol.plan import Plan, WorkUnit
from pipeline.protocol.records.ledger import entry_uri
from pipeline.protocol.records.quarantine import GONE, QUARANTINE_SCHEMA, UNREADABLE
from pipeline.storage.explain import error_code
from pipeline.tree import DecisionTree
from pipeline.upkeep.verify.rows import (
    Book,
    RowProblem,
    Tally,
    catalogue_problems,
    input_places,
    quarantine_problems,
    reject_places,
    repetition_problems,
)

AFRESH = "restore the file, or classify again with new_run=true"
_BATCH_ROWS = 16_384
_GONE = ("NoSuchKey", "404")


class Damaged(InputError):
    """A file is gone, or its bytes aren't as they must be. Only this becomes a finding."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Tell what is wrong with a file from what is wrong with its store, or with the way to it.

    Raises
    ------
    Damaged
        If the store answered: the file is gone, or it isn't the JSON that it must be.
    InputError
        Otherwise, as it came.
    """
    try:
        yield
    except InputError as error:
        cause = error.__cause__
        gone = isinstance(cause, FileNotFoundError) or error_code(cause) in _GONE
        if gone or isinstance(cause, ValidationError):
            raise Damaged(str(error)) from error
        raise


@dataclass(frozen=True)
class Finding:
    """Something that isn't as it must be: what it is about, what is wrong, and what to do."""

    about: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.about}: {self.problem}; {self.advice}"


@dataclass(frozen=True)
class Run:
    """A run under verification; its ledger fills as its entries are checked.

    Attributes
    ----------
    columns
        Columns of the table, as its log has them.
    earlier
        Runs that were committed before, whose rows it may have kept.
    stale
        Hashes of the object ids of the catalogue's stale rows, as they are read.
    entries
        sha256 of the files of the ledger, by name, as they are read.
    """

    layout: RunLayout
    plan: Plan
    tree: DecisionTree
    ledger: dict[int, LedgerEntry]
    book: Book
    committed: bool
    columns: pa.Schema | None = None
    earlier: frozenset[str] = frozenset()
    stale: set[int] = field(default_factory=set)
    entries: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Columns of its rows."""
        return planned_schema(self.tree, self.plan)

    @property
    def complete(self) -> bool:
        """Whether every unit has a sound ledger entry."""
        return len(self.ledger) == self.plan.unit_count

    def redo(self, unit: int) -> str:
        """How to get a unit's files again."""
        if self.committed:
            return AFRESH
        return f"remove {entry_uri(self.layout, unit)} and give the same command again"


def check_unit(run: Run, unit: WorkUnit, entry: LedgerEntry) -> Iterator[Finding]:
    """Check a unit's files against its entry, the plan, the inputs and the tree; book its rows."""
    about, redo, book = f"unit {unit.index}", run.redo(unit.index), run.book
    entered = entry_uri(run.layout, unit.index)
    if entry.rows != unit.rows:
        yield Finding(about, f"{entered}: expected {unit.rows} rows as planned, found {entry.rows}", redo)
    try:
        part = _read_stored(run, entry.part, entry.classified, run.schema)
        rejects = _read_stored(run, entry.rejects, entry.rows - entry.classified, QUARANTINE_SCHEMA)
    except Damaged as error:
        yield Finding(about, str(error), redo)
        return
    reasons = dict(Counter(rejects["reason"].to_pylist()))
    if reasons != entry.quarantined:
        yield Finding(
            about, f"{entered}: expected {entry.quarantined} as in its rejects, found {reasons}", redo
        )
    places, rejected = input_places(book, part), reject_places(book, rejects)
    for stored, rows, problems in (
        (entry.part, part, catalogue_problems(run.plan, run.tree, book, part, places, run.earlier)),
        (entry.rejects, rejects, quarantine_problems(book, rejects, rejected)),
    ):
        tally = Tally()
        tally.add(problems, rows)
        for line in tally.lines():
            yield Finding(about, f"{_stored_uri(run, stored)}: {line}", redo)
    start, stop = (int(edge) for edge in book.unit_starts[unit.index : unit.index + 2])
    offsets = np.concatenate([places, rejected]) - start
    times = np.bincount(offsets[(offsets >= 0) & (offsets < stop - start)], minlength=stop - start)
    for offset in np.flatnonzero(times != book.selected[start:stop])[:1]:
        problem = f"expected each input row once, found {book.name(start + offset)} {times[offset]} times"
        yield Finding(about, f"{_stored_uri(run, entry.part or entry.rejects)}: {problem}", redo)
    for origins, table in ((places, part), (rejected, rejects)):
        book.rows[origins[origins >= 0]] = hash_rows(table)[origins >= 0]
    book.rejected[rejected[rejected >= 0]] = True


def check_quarantine(run: Run) -> Iterator[Finding]:
    """Check the run's quarantine against the units' rejects, the ledger and the inputs; book its rows."""
    uri, book = run.layout.quarantine, run.book
    try:
        rows = _read_table(uri, QUARANTINE_SCHEMA)
    except Damaged as error:
        book.quarantined[:] = book.rejected  # so that one missing file isn't a finding for each row too
        yield Finding("quarantine", str(error), AFRESH)
        return
    places = reject_places(book, rows)
    tally = Tally()
    tally.add(quarantine_problems(book, rows, places), rows)
    tally.add(repetition_problems(book, rows, places, book.quarantined, lambda i: "another row"), rows)
    for line in tally.lines():
        yield Finding("quarantine", f"{uri}: {line}", AFRESH)
    expected: Counter[str] = Counter()
    for entry in run.ledger.values():
        expected.update(entry.quarantined)
    own = rows.filter(pa.array((places < 0) | book.selected[places]))
    actual = Counter(own["reason"].to_pylist())
    if run.complete and actual != expected:
        problem = f"{uri}: expected {dict(expected)} as in the ledger, found {dict(actual)}"
        yield Finding("quarantine", problem, AFRESH)


def check_catalogue_file(run: Run, file: SnapshotFile) -> Iterator[Finding]:
    """Check a file of the snapshot against the Delta log, the parts, the inputs and the tree."""
    tally, rows = Tally(), 0
    try:
        with reading():
            size = storage.file_info(file.uri).size
        if size != file.size:
            raise Damaged(f"{file.uri}: expected {file.size} bytes as in the Delta log, found {size}")
        data = _read_whole(file.uri, recorded_digest(file.uri), "in its name")
        if recorded_digest(file.uri) is not None:
            _check_log_of(run, file, data)
        for both in _batches(file.uri, data, run.schema):
            rows += len(both)
            tally.add(_stale_problems(run, both), both)
            table = both.filter(both["stale"].is_null())
            places = input_places(run.book, table)
            tally.add(catalogue_problems(run.plan, run.tree, run.book, table, places, run.earlier), table)
            difference = functools.partial(_difference, run, table, places)
            tally.add(repetition_problems(run.book, table, places, run.book.catalogued, difference), table)
        if rows != file.rows:
            raise Damaged(f"{file.uri}: expected {file.rows} rows as in the Delta log, found {rows}")
    except Damaged as error:
        yield Finding("catalogue", str(error), AFRESH)
    for line in tally.lines():
        yield Finding("catalogue", f"{file.uri}: {line}", AFRESH)


def _check_log_of(run: Run, file: SnapshotFile, data: bytes) -> None:
    """What the log says of a file that is as it was written: readers choose files and columns by it."""
    with _explained(file.uri):
        metadata = pq.read_metadata(pa.BufferReader(data))
        columns = metadata.schema.to_arrow_schema()
    if run.columns is not None and not columns.equals(run.columns):
        raise Damaged(f"{file.uri}: expected the columns of the Delta log, found others")
    statistics = statistics_of(metadata)
    for name, logged in file.statistics.items():
        if logged != statistics.get(name):
            raise Damaged(
                f"{file.uri}: expected {name} {logged} as in the Delta log, found {statistics.get(name)}"
            )


def _stale_problems(run: Run, rows: pa.Table) -> Iterator[RowProblem]:
    """What is wrong with the marks of stale rows; notes which objects they are."""
    marks = rows["stale"].to_numpy()
    marked = rows["stale"].is_valid().to_numpy()
    hashes = hash_rows(rows.select(["object_id"]))
    again = marked & np.isin(hashes, np.array(sorted(run.stale), np.uint64))
    run.stale.update(hashes[marked].tolist())
    valid = np.isin(marks.astype(str), [GONE, UNREADABLE])
    yield RowProblem(f"stale {GONE} or {UNREADABLE}", marked & ~valid, lambda i: repr(marks[i]))
    yield RowProblem("each stale object_id once", again, lambda i: "it again")
    expected = "no stale row, for the run kept none"
    yield RowProblem(
        expected, marked & (run.plan.base is None and run.plan.kept is None), lambda i: repr(marks[i])
    )


def _difference(run: Run, rows: pa.Table, places: NDArray[np.int64], i: int) -> str:
    """The first column in which a row of the catalogue differs from what its unit wrote."""
    place = places[i : i + 1]
    if run.book.rejected[place[0]]:
        return "a row that its unit rejected"
    entry = run.ledger[int(run.book.units(place)[0])]
    part = _read_stored(run, entry.part, entry.classified, run.schema)
    match = int(np.flatnonzero(input_places(run.book, part) == place[0])[0])
    ours, theirs = rows.slice(i, 1).to_pylist()[0], part.slice(match, 1).to_pylist()[0]
    name = next(name for name in ours if ours[name] != theirs[name])
    return f"{name}={ours[name]!r} where the part has {theirs[name]!r}"


def _stored_uri(run: Run, stored: StoredTable | None) -> str:
    return run.layout.parts if stored is None else storage.join(run.layout.parts, stored.name)


def _read_stored(run: Run, stored: StoredTable | None, rows: int, schema: pa.Schema) -> pa.Table:
    """A unit's file, checked against its ledger entry."""
    table = (
        schema.empty_table()
        if stored is None
        else _read_table(_stored_uri(run, stored), schema, stored.sha256)
    )
    if len(table) != rows or (stored is not None and stored.rows != rows):
        entered = "no file" if stored is None else f"{stored.rows} rows entered"
        raise Damaged(f"{_stored_uri(run, stored)}: expected {rows} rows, found {len(table)} ({entered})")
    return table


def _read_table(uri: str, schema: pa.Schema, sha256: str | None = None) -> pa.Table:
    data = _read_whole(uri, sha256, "in the ledger")
    with _explained(uri):
        table = pq.read_table(io.BytesIO(data))
        table.validate(full=True)
    _check_schema(uri, table.schema, schema)
    return table


def _read_whole(uri: str, sha256: str | None, where: str) -> bytes:
    """A file that is held whole, so that no failure of the store can look like damage."""
    with reading():
        data = storage.read_bytes(uri)
    actual = hashlib.sha256(data).hexdigest()
    if sha256 is not None and actual != sha256:
        raise Damaged(f"{uri}: expected sha256 {sha256[:12]}… as {where}, found {actual[:12]}…")
    return data


def _batches(uri: str, data: bytes, schema: pa.Schema) -> Iterator[pa.Table]:
    with _explained(uri), pq.ParquetFile(pa.BufferReader(data)) as file:
        _check_schema(uri, file.schema_arrow, schema)
        for batch in file.iter_batches(_BATCH_ROWS):
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn what a torn Parquet file raises into one line that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{uri}: expected Parquet, found {' '.join(str(error).split())}") from error


def _check_schema(uri: str, stored: pa.Schema, required: pa.Schema) -> None:
    columns, expected = ([(field.name, field.type) for field in schema] for schema in (stored, required))
    if columns != expected:
        other = next((column for column in expected if column not in columns), "no others")
        raise Damaged(
            f"{uri}: expected the columns of the tree, found others: {other} is missing or misplaced"
        )
