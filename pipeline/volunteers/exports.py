"""Files of classifications, a piece at a time: Panoptes exports as CSV or Parquet, and tables of votes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from pipeline.volunteers.mapping import Mapping
from pipeline.volunteers.records import QUARANTINE, VOTES
from pipeline.volunteers.zooniverse import COLUMNS, OPTIONAL, ExportReader

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_BLOCK_BYTES = 16 << 20
_BATCH_ROWS = 131_072
_TORN = "the file ends in the middle of it; it is taken from the next whole export"


@dataclass(frozen=True)
class Piece:
    """What was read of a file.

    Attributes
    ----------
    votes, quarantine : pyarrow.Table
        With `VOTES` and `QUARANTINE`.
    rows
        How many rows of the file these come from.
    repeated
        How many of them are of a classification that stands in a row before.
    """

    votes: pa.Table
    quarantine: pa.Table
    rows: int
    repeated: int = 0


def export_files(place: str) -> list[str]:
    """The files of an export: one, or all in a folder, sorted by name.

    Raises
    ------
    InputError
        If there is none.
    """
    if place.endswith(SUFFIXES):
        return [storage.file_info(place).uri]
    files = [file.uri for file in storage.list_files(place) if file.uri.endswith(SUFFIXES)]
    if not files:
        raise InputError(
            f"{place} holds no export; expected a file, or a folder with files, that end in "
            f"{', '.join(SUFFIXES)}"
        )
    return files


def read_export(uri: str, mapping: Mapping, tree: DecisionTree) -> Iterator[Piece]:
    """Votes and quarantined rows of one file, in pieces that are whole: no classification is in two.

    Raises
    ------
    InputError
        If it can't be read, has not the columns of an export or a table of votes, or none of its rows can be
        used, as in the export of another workflow.
    """
    rows = used = 0
    first = ""
    pieces = _parquet_pieces if uri.endswith(".parquet") else _csv_pieces
    for piece in pieces(uri, ExportReader(mapping, tree), tree):
        rows, used = rows + piece.rows, used + len(piece.votes)
        if not first and len(piece.quarantine):
            first = f"row {piece.quarantine['row'][0].as_py()}: {piece.quarantine['reason'][0].as_py()}"
        yield piece
    if rows and not used:
        raise InputError(
            f"{uri}: none of its {rows:,} rows can be used; {first}; expected classifications of "
            f"the workflow that {mapping.source} maps to tree {tree.name!r}"
        )


def _csv_pieces(uri: str, reader: ExportReader, tree: DecisionTree) -> Iterator[Piece]:
    fs, path = storage.filesystem(uri)
    compression = "gzip" if uri.endswith(".gz") else None
    with storage.explained("read", uri), fs.open(path, "rb", compression=compression) as stream:
        names = _header(uri, stream.readline())
        number, rest = 2, b""
        while True:
            data = stream.read(_BLOCK_BYTES)
            block = rest + data
            # A row is a line: JSON has no line breaks, and names can have none.
            end = block.rfind(b"\n") + 1 if data else len(block)
            block, rest = block[:end], block[end:]
            if block:
                torn = not data and not block.endswith(b"\n")
                piece = _csv_block(uri, block, names, number, torn, reader)
                number += piece.rows
                yield piece
            if not data:
                return


def _header(uri: str, line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    names = next(csv.reader([text]), [])
    missing = [name for name in COLUMNS if name not in names and name not in OPTIONAL]
    if missing or len(set(names)) < len(names):
        what = f"it lacks {', '.join(missing)}" if missing else "a column appears twice"
        raise InputError(
            f"{uri} is no classification export of the Zooniverse: {what}; its first line is {text[:80]!r}"
        )
    return names


def _csv_block(
    uri: str, block: bytes, names: list[str], first: int, torn: bool, reader: ExportReader
) -> Piece:
    """A block of whole lines; the last one may be torn."""
    bad: dict[int, str] = {}
    count = block.count(b"\n") + torn
    if torn:
        bad[count - 1] = _TORN
        block = block[: block.rfind(b"\n") + 1]
    table = _parsed(block, names, bad)
    numbers = np.delete(np.arange(count), list(bad)) if bad else np.arange(count)
    votes, reasons = reader.votes(table)
    wrong = np.flatnonzero(reasons != "")
    ids = table["classification_id"]
    entries = [(int(numbers[row]), ids[int(row)].as_py(), str(reasons[row])) for row in wrong]
    entries += [(row, None, reason) for row, reason in bad.items()]
    repeated = len(table) - len(wrong) - len(pc.unique(votes["classification_id"]))
    return Piece(votes, _quarantine(uri, first, sorted(entries)), count, repeated)


def _parsed(block: bytes, names: list[str], bad: dict[int, str]) -> pa.Table:
    """The used columns of lines as text; `bad` gets the lines that are no rows, and why."""
    used = [name for name in COLUMNS if name in names]
    invalid: list[str] = []
    table = _read_csv(block, names, used, invalid)
    text = None if invalid or _has_line_breaks(table) else _as_text(table)
    if text is not None:
        return text
    # Rare: look at every line by itself, lest a quote that is never closed swallow those after it.
    good = []
    for row, line in enumerate(block.splitlines(keepends=True)):
        if reason := _broken(line, len(names)):
            bad[row] = reason
        else:
            good.append(line)
    text = _as_text(_read_csv(b"".join(good), names, used, []))
    assert text is not None
    return text


def _has_line_breaks(table: pa.Table) -> bool:
    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns)


def _read_csv(block: bytes, names: list[str], used: list[str], invalid: list[str]) -> pa.Table:
    def skip(row: pa_csv.InvalidRow) -> str:
        invalid.append(row.text)
        return "skip"

    if not block:
        return pa.table({name: pa.array([], pa.binary()) for name in used})
    return pa_csv.read_csv(
        pa.BufferReader(block),
        pa_csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
        pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            include_columns=used, column_types=dict.fromkeys(used, pa.binary()), strings_can_be_null=False
        ),
    )


def _as_text(table: pa.Table) -> pa.Table | None:
    """The same columns as text; None if some isn't UTF-8."""
    try:
        return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    except pa.ArrowInvalid:
        return None


def _broken(line: bytes, cells: int) -> str:
    """Why a line is no row of an export; empty if it is one."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "it isn't UTF-8"
    try:
        row = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return f"it can't be split into cells: {error}"
    return "" if len(row) == cells else f"it has {len(row)} cells; expected {cells}"


def _parquet_pieces(uri: str, reader: ExportReader, tree: DecisionTree) -> Iterator[Piece]:
    fs, path = storage.filesystem(uri)
    with storage.explained("read", uri), fs.open(path, "rb") as stream, pq.ParquetFile(stream) as file:
        names, first = file.schema_arrow.names, 1
        of_votes = set(VOTES.names) <= set(names)
        missing = [name for name in COLUMNS if name not in names and name not in OPTIONAL]
        if not of_votes and missing:
            raise InputError(
                f"{uri} is neither a table of votes (columns {', '.join(VOTES.names)}) nor a classification "
                f"export of the Zooniverse: it lacks {', '.join(missing)}"
            )
        used = VOTES.names if of_votes else [name for name in COLUMNS if name in names]
        batches = (pa.Table.from_batches([b]) for b in file.iter_batches(_BATCH_ROWS, columns=used))
        for table in _whole(batches) if of_votes else batches:
            if of_votes:
                votes, reasons = checked_votes(table, tree)
            else:
                votes, reasons = reader.votes(table.cast(pa.schema([(name, pa.string()) for name in used])))
            wrong = np.flatnonzero(reasons != "")
            ids = table["classification_id"].cast(pa.string())
            entries = [(int(row), ids[int(row)].as_py(), str(reasons[row])) for row in wrong]
            repeated = 0 if of_votes else len(table) - len(wrong) - len(pc.unique(votes["classification_id"]))
            yield Piece(votes, _quarantine(uri, first, entries), len(table), repeated)
            first += len(table)


def _whole(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, cut only between classifications, whose rows follow each other."""
    held: pa.Table | None = None
    for batch in batches:
        table = batch if held is None else pa.concat_tables([held, batch])
        ids = table["classification_id"].to_numpy()
        held_from = int(np.flatnonzero(ids != ids[-1])[-1]) + 1 if len(ids) and (ids != ids[-1]).any() else 0
        if held_from:
            yield table[:held_from]
        held = table[held_from:]
    if held is not None and len(held):
        yield held


def checked_votes(table: pa.Table, tree: DecisionTree) -> tuple[pa.Table, NDArray[np.object_]]:
    """Rows of a table of votes that can be used, and what is wrong with each, if anything."""
    reasons: NDArray[np.object_] = np.full(len(table), "", object)
    columns = []
    for field in VOTES:
        column = table[field.name].combine_chunks()
        if field.name == "user" and pa.types.is_floating(column.type):
            column = column.cast(pa.int64(), safe=False)  # a number that a spreadsheet gave a fraction
        columns.append(column.cast(field.type))
        for row in np.flatnonzero(columns[-1].is_null().to_numpy(zero_copy_only=False)):
            reasons[row] = reasons[row] or f"{field.name} is missing"
    keys = pc.binary_join_element_wise(columns[3], columns[4], "\n")
    known = pa.array([f"{q.key}\n{a.key}" for q in tree.questions for a in q.answers])
    for row in np.flatnonzero(~pc.is_in(keys, known).to_numpy(zero_copy_only=False)):
        reasons[row] = reasons[row] or (
            f"answer {columns[4][int(row)].as_py()!r} to {columns[3][int(row)].as_py()!r} is none of tree "
            f"{tree.name!r}"
        )
    good = np.flatnonzero(reasons == "")
    cells = np.stack([columns[0].to_numpy()[good], keys.dictionary_encode().indices.to_numpy()[good]])
    once = pa.array(good[np.sort(np.unique(cells, axis=1, return_index=True)[1])])
    return pa.table([column.take(once) for column in columns], schema=VOTES), reasons


def _quarantine(uri: str, first: int, entries: list[tuple[int, str | None, str]]) -> pa.Table:
    return pa.Table.from_arrays(
        [
            pa.array([storage.name(uri)] * len(entries), pa.string()),
            pa.array([first + row for row, _, _ in entries], pa.int64()),
            pa.array([name for _, name, _ in entries], pa.string()),
            pa.array([reason for _, _, reason in entries], pa.string()),
        ],
        schema=QUARANTINE,
    )
