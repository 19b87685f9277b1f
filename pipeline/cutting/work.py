"""What a cut keeps beside its shards, so that it can be stopped anywhere and goes on: the folder ``_cut``.

The index of tiles and the plan are written once, under names that hold a digest of what they follow from.
Each unit of work writes its shards, then its misses, then its record, by which it is known to be done.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import StrictModel, validate
from pipeline.cutouts.ingest import already_there
from pipeline.cutouts.manifest import ShardRows, Survey, create_survey
from pipeline.cutouts.writer import ShardWriter
from pipeline.cutting.cutting import FURTHER, cut
from pipeline.cutting.index import read_tiles
from pipeline.cutting.light import Miss
from pipeline.cutting.plan import read_unit
from pipeline.cutting.positions import MISS_SCHEMA
from pipeline.cutting.settings import TileSurvey
from pipeline.digest import digest
from pipeline.errors import InputError, RunError

FOLDER = "_cut"
MISSES = "misses.csv"


class UnitRecord(StrictModel):
    """What became of a unit's objects."""

    unit: int
    shards: tuple[ShardRows, ...]
    misses: dict[str, int]

    @property
    def rows(self) -> int:
        """Objects of the unit."""
        return sum(shard.rows for shard in self.shards) + sum(self.misses.values())


@dataclass(frozen=True)
class Work:
    """A cut of some positions from some tiles into an output.

    Attributes
    ----------
    output
        The folder of the cutout set.
    source
        The folder of the tiles.
    criteria
        All that the cutouts follow from.
    survey
        How the tiles become pictures.
    """

    output: str
    source: str
    criteria: dict[str, Any]
    survey: TileSurvey

    def file(self, name: str) -> str:
        """URI of a file of the folder ``_cut``."""
        return storage.join(storage.join(self.output, FOLDER), name)

    @property
    def index(self) -> str:
        """URI of the index of tiles."""
        own = digest(self.criteria["tiles"], self.criteria["survey"])
        return self.file(f"tiles-{own[:12]}.parquet")

    @property
    def plan(self) -> str:
        """URI of the plan."""
        return self.file(f"plan-{digest(self.criteria)[:12]}.parquet")

    def begin(self) -> bool:
        """Make sure that the output is this cut's, and lay claim to it; False if it's there already.

        Raises
        ------
        InputError
            If it holds something else, such as a cut of other positions.
        """
        if already_there(self.output, self.source, self.criteria, beside=(FOLDER, MISSES)) is not None:
            return False
        uri, own = self.file("cut.json"), self.criteria | {"source": self.source}
        data = json.dumps(own, indent=1, sort_keys=True).encode()
        if not storage.create(uri, data):
            before = json.loads(storage.read_bytes(uri))
            changed = sorted(key for key in own.keys() | before.keys() if own.get(key) != before.get(key))
            if changed:
                raise InputError(
                    f"{self.output} holds an unfinished cut with another {', '.join(changed)}; choose "
                    "another output or remove it"
                )
        return True

    def records(self) -> dict[int, UnitRecord]:
        """The units that are done."""
        names = [
            file.uri
            for file in storage.list_files(self.file("").rstrip("/"), ".json")
            if storage.name(file.uri).startswith("unit-")
        ]
        read = storage.read_ahead(lambda uri: (uri, storage.read_bytes(uri)), names)
        records = [validate(UnitRecord, json.loads(data), uri) for uri, data in read]
        return {record.unit: record for record in records}


def cut_unit(work: Work, unit: int) -> UnitRecord:
    """Cut a unit's objects and write its shards; a unit that was cut short is done again, to the same bytes.

    Raises
    ------
    StorageTrouble
        If the store fails.
    InputError
        If a file of another cut is in the way.
    """
    objects = read_unit(work.plan, unit).to_pylist()
    wanted = {item["tile"] for item in objects}.union(*(item["neighbours"] for item in objects))
    writer = ShardWriter(
        work.output,
        name=work.survey.settings.name,
        source=work.source,
        criteria=work.criteria,
        further=FURTHER,
        stem=f"cutouts-{unit:05d}",
    )
    misses: list[Miss] = []
    for result in cut(objects, read_tiles(work.index, sorted(wanted)), work.survey):
        if isinstance(result, Miss):
            misses.append(result)
        else:
            writer.write(result)
    counts = Counter(miss.reason for miss in misses)
    record = UnitRecord(unit=unit, shards=writer.close(), misses=dict(sorted(counts.items())))
    if record.rows != len(objects):
        raise RunError(
            f"unit {unit} has {len(objects)} objects and {record.rows} came of it; none may be lost"
        )
    if misses:
        keep_misses(work.file(f"misses-{unit:05d}.parquet"), miss_table(misses))
    storage.create(work.file(f"unit-{unit:05d}.json"), record.model_dump_json().encode())
    return record


def miss_table(misses: Sequence[Miss]) -> pa.Table:
    """Misses with `MISS_SCHEMA`."""
    names = ("row", "object_id", "ra", "dec")
    rows = [
        {name: miss.item[name] for name in names} | {"reason": miss.reason, "message": miss.message}
        for miss in misses
    ]
    return pa.Table.from_pylist(rows, schema=MISS_SCHEMA)


def keep_misses(uri: str, table: pa.Table) -> None:
    """Write misses for `finish`; what is there already says the same."""
    with storage.open_new(uri) as stream:
        pq.write_table(table, stream, compression="zstd")


def finish(work: Work, records: Sequence[UnitRecord], total: int) -> Survey:
    """Write the list of misses, then ``survey.json``, which makes the set complete.

    Parameters
    ----------
    total
        Rows of the table of positions, each of which must be a cutout or a miss.

    Raises
    ------
    RunError
        If one is neither.
    InputError
        If the output was finished by another cut meanwhile.
    """
    folder = work.file("").rstrip("/")
    files = [
        file.uri
        for file in storage.list_files(folder, ".parquet")
        if storage.name(file.uri).startswith("misses-")
    ]
    tables = [pq.read_table(pa.BufferReader(data)) for data in storage.read_ahead(storage.read_bytes, files)]
    misses = pa.concat_tables([MISS_SCHEMA.empty_table(), *tables]).sort_by("row")
    shards = tuple(
        shard for record in sorted(records, key=lambda record: record.unit) for shard in record.shards
    )
    cutouts = sum(shard.rows for shard in shards)
    if cutouts + len(misses) != total:
        raise RunError(
            f"{total} positions gave {cutouts} cutouts and {len(misses)} misses; each must be one of them: "
            f"remove {work.output} and cut again"
        )
    _write_csv(storage.join(work.output, MISSES), misses)
    counts = Counter(f"missed_{reason}" for reason in misses["reason"].to_pylist())
    survey = Survey(
        name=work.survey.settings.name,
        source=work.source,
        criteria=work.criteria,
        cutouts=cutouts,
        counts={"positions": total, **dict(sorted(counts.items()))},
        shards=shards,
    )
    if not create_survey(work.output, survey):
        # Another process with the same command, which has done the same.
        already_there(work.output, work.source, work.criteria, beside=(FOLDER, MISSES))
    return survey


def _write_csv(uri: str, misses: pa.Table) -> None:
    for name in ("object_id", "message"):
        column = [None if text is None else storage.guarded(text) for text in misses[name].to_pylist()]
        misses = misses.set_column(misses.column_names.index(name), name, pa.array(column, pa.string()))
    with storage.open_new(uri) as stream:
        pa.csv.write_csv(misses, stream)
