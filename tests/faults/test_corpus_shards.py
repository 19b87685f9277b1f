"""Shards that are damaged, odd or gone: rows are salvaged, or one line says what is wrong with the shard."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileOpener

from pipeline.cutouts import CUTOUT_SCHEMA, duplicate_rows, list_shards, read_ids
from pipeline.cutouts.shards import salvage_rows
from pipeline.errors import InputError, StorageTrouble
from pipeline.protocol import WorkUnit
from pipeline.streaming import rows as rows_module
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.isolation import IsolatedDecoder
from pipeline.streaming.limits import DecodeLimits
from pipeline.survey import open_source
from tests.faults.poison import galaxy

ROWS, GROUP = 24, 6


def good_table(rows: int = ROWS) -> pa.Table:
    content = [{"object_id": f"g{i}", "ra": 1.0 * i, "dec": 2.0, "image": galaxy(i)} for i in range(rows)]
    return pa.Table.from_pylist(content, schema=CUTOUT_SCHEMA)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "s.parquet"
    pq.write_table(
        good_table(),
        path,
        row_group_size=GROUP,
        write_page_checksum=True,
        compression="zstd",
        use_dictionary=False,
    )
    return path


def damage(path: Path, group: int, column: str, how: str = "noise") -> None:
    """Spoil the bytes of one column of one row group."""
    found = pq.ParquetFile(path).metadata.row_group(group)
    (chunk,) = [c for c in map(found.column, range(found.num_columns)) if c.path_in_schema == column]
    start, size = chunk.data_page_offset, chunk.total_compressed_size
    data = bytearray(path.read_bytes())
    if how == "noise":
        data[start : start + size] = random.Random(3).randbytes(size)
    elif how == "zeros":
        data[start : start + size] = bytes(size)
    else:
        data[start + size - 3] ^= 1
    path.write_bytes(data)


def one_line_about(error: Exception, name: str) -> bool:
    text = str(error)
    return "\n" not in text and name in text


def decoded(path: Path, start: int = 0, stop: int = ROWS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = decode_unit(WorkUnit(0, str(path), start, stop)).to_pylist()
    assert [row["row"] for row in found] == list(range(start, stop))
    return found


@pytest.mark.parametrize("how", ["noise", "zeros", "one bit"])
@pytest.mark.parametrize("column", ["image", "ra", "object_id"])
def test_a_damaged_row_group_costs_its_own_rows(shard: Path, column: str, how: str) -> None:
    damage(shard, 2, column, how)
    for start, stop in ((0, ROWS), (10, 15), (12, 18), (17, 24)):
        for row in decoded(shard, start, stop):
            hit = 12 <= row["row"] < 18
            assert row["reason"] == ("unreadable_rows" if hit else None)
            assert row["object_id"] == (None if hit and column == "object_id" else f"g{row['row']}")
            if hit:
                assert "rows " in row["message"]
                assert "damaged row group" in row["message"]
                assert "\n" not in row["message"]


def test_damaged_ids_do_not_stop_the_plan(shard: Path) -> None:
    damage(shard, 1, "object_id")
    (listed,) = list_shards(str(shard.parent))
    assert listed.rows == ROWS
    ids = read_ids(str(shard))
    assert ids.to_pylist() == [None if 6 <= i < 12 else f"g{i}" for i in range(ROWS)]
    assert duplicate_rows([ids]) == [()]


def test_isolation_salvages_alike(shard: Path) -> None:
    damage(shard, 2, "image")
    decoder = IsolatedDecoder(DecodeLimits(), open_source())
    rows = decoder.decode(WorkUnit(0, str(shard), 3, 20))
    decoder.close()
    assert Counter(row.get("reason") for row in rows) == {None: 11, "unreadable_rows": 6}


def test_damage_without_checksums_is_never_another_error(tmp_path: Path) -> None:
    """Whatever bytes change between the footer and the start, each row is there once."""
    path = tmp_path / "s.parquet"
    pq.write_table(good_table(), path, row_group_size=GROUP)
    sound, chance = path.read_bytes(), random.Random(8)
    footer = int.from_bytes(sound[-8:-4], "little") + 8
    for _ in range(60):
        data = bytearray(sound)
        where = chance.randrange(4, len(data) - footer)
        size = min(chance.choice([1, 4, 100]), len(data) - footer - where)
        data[where : where + size] = chance.randbytes(size)
        path.write_bytes(data)
        assert len(read_ids(str(path))) == ROWS
        assert all(len(row["message"] or "a message") > 8 for row in decoded(path))


def test_a_footer_that_is_damaged_is_one_line(shard: Path) -> None:
    sound, chance = shard.read_bytes(), random.Random(9)
    footer = int.from_bytes(sound[-8:-4], "little") + 8
    spoiled = [
        sound[:-20],
        sound[: len(sound) // 2],
        sound[:8],
        b"",
        sound[:-4] + b"PARE",
        sound[:-8] + bytes(4) + sound[-4:],
    ]
    for _ in range(60):
        flipped = bytearray(sound)
        flipped[len(sound) - chance.randrange(9, footer)] ^= 1 << chance.randrange(8)
        spoiled.append(bytes(flipped))
    refused = sound_still = 0
    for data in spoiled:
        shard.write_bytes(data)
        try:
            listed = list_shards(str(shard.parent))
            read_ids(str(shard))
            decoded(shard, 0, min(ROWS, listed[0].rows))
            sound_still += 1
        except InputError as error:
            refused += one_line_about(error, "s.parquet")
    assert refused >= 6
    assert refused + sound_still == len(spoiled)


def replace(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def plain_forms() -> dict[str, pa.Table]:
    table = good_table(8)
    ids, image = table["object_id"], table["image"]
    return {
        "dictionary ids": replace(table, "object_id", ids.dictionary_encode()),
        "large strings": replace(table, "object_id", ids.cast(pa.large_string())),
        "string views": replace(table, "object_id", ids.cast(pa.string_view())),
        "large binary": replace(table, "image", image.cast(pa.large_binary())),
        "dictionary of images": replace(table, "image", image.dictionary_encode()),
        "float32 positions": replace(table, "ra", table["ra"].cast(pa.float32())),
        "whole degrees": replace(table, "ra", table["ra"].cast(pa.int16())),
        "no positions at all": replace(table, "ra", pa.nulls(8)),
        "only the needed columns": table.select(["image", "object_id"]),
        "more columns": table.append_column("petroR90_r", pa.array(range(8))).append_column(
            "struct", pa.array([{"a": [1]}] * 8)
        ),
        "columns in another order": table.select(table.schema.names[::-1]),
    }


@pytest.mark.parametrize("form", plain_forms())
def test_tables_of_other_types_are_read(form: str, tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(plain_forms()[form], path)
    assert list_shards(str(path))[0].rows == 8
    assert read_ids(str(path)).to_pylist() == [f"g{i}" for i in range(8)]
    assert [(row["object_id"], row["reason"]) for row in decoded(path, 0, 8)] == [
        (f"g{i}", None) for i in range(8)
    ]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("object_id", [1.5]),
        ("object_id", [["a"]]),
        ("image", ["text"]),
        ("image", [[1, 2]]),
        ("image", [7]),
        ("ra", ["12:30:00"]),
        ("frame_pixels", [True]),
        ("center_x", [b"1"]),
    ],
)
def test_columns_of_wrong_types_are_one_line(column: str, values: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(replace(good_table(1), column, pa.array(values)), path)
    with pytest.raises(InputError, match=rf"s\.parquet: column '{column}' is .*; expected") as caught:
        list_shards(str(path))
    assert "\n" not in str(caught.value)


def test_a_shard_without_rows_is_none_the_worse(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(good_table(0), path)
    assert list_shards(str(path))[0].rows == 0
    assert len(read_ids(str(path))) == len(salvage_rows(str(path), 0, 0).table) == 0


def test_ids_that_are_not_text_cost_their_row(tmp_path: Path) -> None:
    """Nor are they anybody's repetition, though another id be written like them."""
    values = [b"good", b"\xff\xfe", b"\xff\xfe", b"\\xff\\xfe", b"caf\xe9", b"\xed\xa0\x80"]
    _, offsets, data = pa.array(values).buffers()
    ids = pa.StringArray.from_buffers(len(values), offsets, data)
    path = tmp_path / "s.parquet"
    pq.write_table(replace(good_table(6), "object_id", ids), path)
    assert duplicate_rows([read_ids(str(path))]) == [()]
    rows = decoded(path, 0, 6)
    assert [row["reason"] for row in rows] == [None, *["bad_object_id"] * 2, None, *["bad_object_id"] * 2]
    assert rows[4]["object_id"] == "caf\\xe9"
    assert rows[4]["message"] == "object_id 'caf\\xe9' is not text (UTF-8), as ids must be"


class Failing:
    """Makes the store fail in the middle of a read, some times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, after: int = 1) -> None:
        self.left, self.skip = times, after

        def failing(opener: Any, *size: int) -> bytes:
            if self.left and not self.skip:
                self.left, self.skip = self.left - 1, after
                raise OSError("Read Timeout on endpoint URL")
            self.skip = max(0, self.skip - 1)
            content: bytes = opener.f.read(*size)
            return content

        monkeypatch.setattr(LocalFileOpener, "read", failing, raising=False)
        monkeypatch.setattr(rows_module, "_WAITS", (0.01, 0.01))


@pytest.mark.parametrize("after", [0, 1])
def test_a_store_that_fails_for_a_while_costs_nothing(
    shard: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    store = Failing(monkeypatch, 2, after)
    assert {row["reason"] for row in decoded(shard)} == {None}
    assert store.left == 0


@pytest.mark.parametrize("damaged", [False, True])
def test_a_store_that_keeps_failing_quarantines_nothing(
    shard: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    if damaged:
        damage(shard, 2, "image")
    Failing(monkeypatch, 10**6, after=2 if damaged else 1)
    with pytest.raises(
        StorageTrouble, match=r"cannot read .*s\.parquet: Read Timeout on endpoint URL"
    ) as caught:
        decoded(shard)
    assert "\n" not in str(caught.value)
