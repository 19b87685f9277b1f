"""Ways to damage a real output, one thing at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake

from pipeline.catalogue.seal import seal
from pipeline.cutouts import read_ids
from pipeline.protocol import Plan, RunLayout, catalogue_uri
from pipeline.protocol.records import read_ledger, read_summary
from pipeline.protocol.records.ledger import entry_uri, store_table
from pipeline.tree import DecisionTree
from pipeline.upkeep import Recount, verify_output
from tests.support.tables import snapshot


@dataclass
class Made:
    """An output that a test may damage."""

    folder: Path
    layout: RunLayout
    plan: Plan
    tree: DecisionTree

    @property
    def catalogue(self) -> Path:
        return Path(catalogue_uri(self.layout.output))

    @property
    def data_file(self) -> Path:
        (file,) = self.catalogue.glob("*.parquet")
        return file

    @property
    def log_file(self) -> Path:
        return max(self.catalogue.glob("_delta_log/*.json"))

    def entry(self, unit: int) -> Path:
        return Path(entry_uri(self.layout, unit))

    def part(self, unit: int, suffix: str = "") -> Path:
        (file,) = Path(self.layout.parts).glob(f"{unit:08d}-????????{suffix}.parquet")
        return file

    def shard(self, stem: str) -> Path:
        return self.folder / "cutouts" / f"{stem}.parquet"

    def verify(self, recount: Recount | None = None) -> list[str]:
        return [str(found) for found in verify_output(self.layout.output, self.tree, read_ids, recount)]


def seal_again(made: Made, **values: object) -> None:
    """Seal an output as it is, with some values of the summary changed: what only the counts can tell."""
    summary = read_summary(made.layout.output, made.plan).model_copy(update=values)
    Path(made.layout.summary).write_text(seal(made.layout, summary).model_dump_json(indent=1))


def clean_up_log(made: Made) -> None:
    """What becomes of a log by itself in the course of months."""
    table = DeltaTable(str(made.catalogue))
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
    table = DeltaTable(str(made.catalogue))
    table.create_checkpoint()
    table.cleanup_metadata()
    assert len(list(made.catalogue.glob("_delta_log/*.json"))) == 1


def flip_bit(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of a Parquet file."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def edit_catalogue(made: Made, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Make a version with changed rows, which says that the run wrote it."""
    table = snapshot(str(made.catalogue))
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    forged = CommitProperties(custom_metadata={"run": made.plan.run})
    write_deltalake(str(made.catalogue), changed, mode="overwrite", commit_properties=forged)


def edit_part(made: Made, unit: int, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Have a unit's part hold changed rows that its ledger entry vouches for."""
    entry = read_ledger(made.layout)[unit]
    rows = pq.read_table(made.part(unit))
    changed = rows.to_pylist()
    change(changed)
    stored = store_table(made.layout, made.part(unit).name, pa.Table.from_pylist(changed, schema=rows.schema))
    made.entry(unit).write_text(entry.model_copy(update={"part": stored}).model_dump_json())


def put(row: int, **values: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[row].update(values)


def swap_ids(rows: list[dict[str, Any]]) -> None:
    rows[0]["object_id"], rows[1]["object_id"] = rows[1]["object_id"], rows[0]["object_id"]


def quarantine_too(made: Made) -> None:
    """Put a row into the quarantine that the catalogue has."""
    shard = made.plan.shards[0].uri
    row = {"object_id": "g00", "shard": shard, "row": 0, "reason": "grey", "message": "is grey"}
    rewrite(Path(made.layout.quarantine), lambda rows: rows.append(row))


def append_row(made: Made) -> None:
    row = snapshot(str(made.catalogue)).slice(3, 1)
    forged = CommitProperties(custom_metadata={"run": made.plan.run})
    write_deltalake(str(made.catalogue), row, mode="append", commit_properties=forged)


def rename_galaxy(made: Made) -> None:
    """Change an object_id in place: size and time of the shard stay."""
    before = made.shard("a").stat()
    data = made.shard("a").read_bytes()
    assert b"g07" in data
    made.shard("a").write_bytes(data.replace(b"g07", b"x07"))
    os.utime(made.shard("a"), ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_shard_rows(plan: dict[str, Any]) -> None:
    plan["shards"][0]["rows"] = 11


def stray_entry(made: Made) -> None:
    content = json.loads(made.entry(1).read_text()) | {"unit": 99}
    made.entry(99).write_text(json.dumps(content))


def edit_entry(index: int, /, **values: object) -> Callable[[Made], None]:
    return lambda made: edit_json(made.entry(index), lambda entry: entry.update(values))


def exchange_parts(made: Made) -> None:
    """Put each of two parts where the other was."""
    first, second = made.part(0), made.part(2)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def edit_rejects(made: Made, **values: object) -> None:
    """Have both the rejects, vouched for by the ledger, and the quarantine hold a changed row."""
    entry = read_ledger(made.layout)[0]
    rewrite(made.part(0, "-rejects"), put(0, **values))
    stored = store_table(made.layout, made.part(0, "-rejects").name, pq.read_table(made.part(0, "-rejects")))
    reasons = {str(values.get("reason", "truncated")): 1}
    changed = entry.model_copy(update={"rejects": stored, "quarantined": reasons})
    made.entry(0).write_text(changed.model_dump_json())
    rewrite(Path(made.layout.quarantine), put(0, **values))
