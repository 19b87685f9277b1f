"""Mutations of a finished output's rows: in its data file, the log fitting or not, and by versions."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake

from pipeline.catalogue import catalogue_schema
from pipeline.catalogue.files import _statistics
from pipeline.tree import load_tree
from tests.faults.mutations import Mutation

Rows = list[dict[str, Any]]
TREE = load_tree()
SCHEMA = catalogue_schema(TREE)
ANSWERS = [name for name in SCHEMA.names if SCHEMA.field(name).type == pa.float32()]


def _put(**values: object) -> Callable[[Rows, list[int], Random], object]:
    return lambda rows, places, random: rows[places[0]].update(values)


def _swap(*columns: str) -> Callable[[Rows, list[int], Random], object]:
    def swap(rows: Rows, places: list[int], random: Random) -> None:
        first, second = rows[places[0]], rows[places[1]]
        for name in columns:
            first[name], second[name] = second[name], first[name]

    return swap


def _shuffle(column: str) -> Callable[[Rows, list[int], Random], object]:
    def shuffle(rows: Rows, places: list[int], random: Random) -> None:
        values = [row[column] for row in rows]
        for row, value in zip(rows, values[1:] + values[:1], strict=True):
            row[column] = value

    return shuffle


def _nudge(rows: Rows, places: list[int], random: Random) -> None:
    name = random.choice(ANSWERS[:3])
    rows[places[0]][name] += 1e-6


CHANGES: dict[str, Callable[[Rows, list[int], Random], object]] = {
    "ra changed": _put(ra=123.456),
    "ra removed": _put(ra=None),
    "dec changed": _put(dec=-12.5),
    "content changed": _put(content="0" * 32),
    "object_id changed": _put(object_id="another"),
    "weights changed": _put(weights="f" * 64),
    "run changed": _put(run="0" * 12),
    "marked stale": _put(stale="gone"),
    "marked unreadable": _put(stale="quarantined"),
    "input changed": _put(input="elsewhere#0"),
    "answer changed by little": _nudge,
    "most probable answer changed": _put(smooth_or_featured_answer="artifact"),
    "all answers swapped": _swap(*SCHEMA.names[3:-5]),
    "inputs swapped": _swap("input"),
    "contents swapped": _swap("content"),
    "object_ids swapped": _swap("object_id"),
    "rows swapped": _swap(*SCHEMA.names),
    "column of ra shuffled": _shuffle("ra"),
    "column of content shuffled": _shuffle("content"),
    "column of an answer shuffled": _shuffle(ANSWERS[0]),
    "row left out": lambda rows, places, random: rows.pop(places[0]),
    "row doubled": lambda rows, places, random: rows.append(rows[places[0]]),
    "row added": lambda rows, places, random: rows.append(rows[places[0]] | {"object_id": "new"}),
    "no longer stale": lambda rows, places, random: [row.update(stale=None) for row in rows],
}


def row_mutations(output: Path, random: Random) -> Iterator[Mutation]:
    """Rows of the data file changed: those of the run itself, and those that it carried over."""
    table = DeltaTable(str(output / "catalogue"))
    name = table.file_uris()[0].rpartition("/")[2]
    rows = pq.read_table(output / "catalogue" / name)
    current = next(entry["run"] for entry in table.history() if "run" in entry)
    runs = rows["run"].to_pylist()
    for whose, of_run in (("own", True), ("carried", False)):
        places = [place for place, run in enumerate(runs) if (run == current) == of_run]
        if len(places) < 2:
            continue
        for what, change in CHANGES.items():
            changed = rows.to_pylist()
            change(changed, random.sample(places, 2), random)
            if changed == rows.to_pylist():
                continue
            data = _parquet(changed)
            for disguise, write in DISGUISES.items():
                yield Mutation(
                    "data file", f"{what}, {disguise}", whose, lambda f, w=write, d=data: w(f, name, d)
                )


def _parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def _in_place(folder: Path, name: str, data: bytes) -> None:
    (folder / "catalogue" / name).write_bytes(data)


def _logged(folder: Path, name: str, data: bytes) -> None:
    _in_place(folder, name, data)
    _edit_log(folder, name, name, data)


def _renamed(folder: Path, name: str, data: bytes) -> None:
    """As a writer of this program would have written it."""
    (folder / "catalogue" / name).unlink()
    other = f"{name.rpartition('-')[0]}-{hashlib.sha256(data).hexdigest()}.parquet"
    _in_place(folder, other, data)
    _edit_log(folder, name, other, data)


def _edit_log(folder: Path, name: str, other: str, data: bytes) -> None:
    stats = json.dumps(_statistics(pq.read_metadata(io.BytesIO(data))))
    for log in (folder / "catalogue" / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if action.get("add", {}).get("path") == name:
                action["add"].update(path=other, size=len(data), stats=stats)
        log.write_text("\n".join(map(json.dumps, actions)))


DISGUISES = {"in place": _in_place, "with the log": _logged, "with its name and the log": _renamed}


def forged_versions(output: Path) -> Iterator[Mutation]:
    """Versions that the Delta library's own writers add, some of them with what a run or a vacuum says."""
    table = DeltaTable(str(output / "catalogue"))
    run = next(entry["run"] for entry in table.history() if "run" in entry)
    rows = pq.read_table(table.file_uris()[0])
    named = {
        "": None,
        ", as a run": CommitProperties(custom_metadata={"run": run}),
        ", as a vacuum": CommitProperties(custom_metadata={"fence": "true"}),
    }
    for says, properties in named.items():
        for what, write in _writers(rows, properties).items():
            yield Mutation("added version", what + says, "", lambda f, w=write: w(str(f / "catalogue")))
    for what, actions in _by_hand(output, table).items():
        yield Mutation("added version", what, "", lambda f, a=actions: _add_version(f, a))


def _writers(rows: pa.Table, properties: CommitProperties | None) -> dict[str, Callable[[str], object]]:
    changed = rows.set_column(1, "ra", pa.array([1.0] * len(rows)))
    first = f"object_id = '{rows['object_id'][0].as_py()}'"

    def write(table: pa.Table, mode: Literal["append", "overwrite"]) -> Callable[[str], object]:
        return lambda uri: write_deltalake(uri, table.cast(SCHEMA), mode=mode, commit_properties=properties)

    return {
        "row appended": write(rows.slice(0, 1), "append"),
        "all rows written again": write(rows, "overwrite"),
        "all rows written but one": write(rows.slice(1), "overwrite"),
        "all rows written with other positions": write(changed, "overwrite"),
        "row deleted": lambda uri: DeltaTable(uri).delete(first, commit_properties=properties),
        "row updated": lambda uri: DeltaTable(uri).update(
            {"ra": "1.5"}, predicate=first, commit_properties=properties
        ),
        "first version restored": lambda uri: DeltaTable(uri).restore(0, commit_properties=properties),
        "rows sorted": lambda uri: DeltaTable(uri).optimize.z_order(["ra"], commit_properties=properties),
        "properties set": lambda uri: DeltaTable(uri).alter.set_table_properties(
            {"delta.deletedFileRetentionDuration": "interval 2 weeks"}, commit_properties=properties
        ),
    }


def _by_hand(output: Path, table: DeltaTable) -> dict[str, list[dict[str, Any]]]:
    """Versions that no writer writes, which claim to change nothing."""
    log = next(
        path
        for path in sorted((output / "catalogue" / "_delta_log").glob("*.json"), reverse=True)
        if '"add"' in path.read_text()
    )
    add = next(json.loads(line)["add"] for line in log.read_text().splitlines() if '"add"' in line)
    fence = {"commitInfo": {"timestamp": 1, "operation": "WRITE", "fence": "true"}}
    vacuum = {"commitInfo": {"timestamp": 1, "operation": "VACUUM END"}}
    path = {"path": add["path"], "dataChange": False, "deletionTimestamp": 1}
    no_stats = add | {"stats": json.dumps({"numRecords": json.loads(add["stats"])["numRecords"]})}
    return {
        "rows removed, as a fence": [fence, {"remove": path}],
        "rows removed, as a vacuum's end": [vacuum, {"remove": path}],
        "file added again without statistics": [fence, {"add": no_stats}],
    }


def _add_version(folder: Path, actions: list[dict[str, Any]]) -> None:
    version = DeltaTable(str(folder / "catalogue")).version() + 1
    log = folder / "catalogue" / "_delta_log" / f"{version:020d}.json"
    log.write_text("\n".join(map(json.dumps, actions)))
