"""Two snapshots side by side, against dictionaries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.changes import FATES, STATE_COLUMNS, side_by_side
from pipeline.catalogue.export import Snapshot
from pipeline.errors import InputError

SCHEMA = pa.schema([*((name, pa.string()) for name in STATE_COLUMNS), ("value", pa.float32())])

Row = tuple[str, str, str | None]
"""Run, content, mark."""

ROWS = st.dictionaries(
    st.integers(0, 12).map("g{}".format),
    st.tuples(
        st.sampled_from("rs"), st.sampled_from("xy"), st.sampled_from([None, None, "gone", "quarantined"])
    ),
    max_size=12,
)


def snapshot(folder: str, name: str, rows: dict[str, Row]) -> Snapshot:
    path = Path(folder) / f"{name}.parquet"
    values = [
        {
            "object_id": key,
            "run": run,
            "input": f"{name}#{key}",
            "content": content,
            "stale": mark,
            "value": 1.0,
        }
        for key, (run, content, mark) in rows.items()
    ]
    pq.write_table(pa.Table.from_pylist(values, SCHEMA), path)
    return Snapshot((str(path),), SCHEMA)


def fate(before: Row | None, after: Row | None) -> str:
    if after is None:
        return "only in the catalogue before"
    if before is None:
        return "new" if after[2] is None else "stale before and after"
    if after[2] is not None:
        return "stale before and after" if before[2] is not None else after[2]
    if before[2] is not None:
        return "came back"
    if before[1] != after[1]:
        return "changed"
    return "kept" if before[0] == after[0] else "classified anew"


@settings(max_examples=60, deadline=None)
@given(before=ROWS, after=ROWS, bucket_rows=st.sampled_from([1, 3, 100]))
def test_each_galaxy_is_met_once_and_has_its_fate(
    before: dict[str, Row], after: dict[str, Row], bucket_rows: int
) -> None:
    with TemporaryDirectory() as folder:
        sides = snapshot(folder, "before", before), snapshot(folder, "after", after)
        read: list[int] = []
        pieces = list(side_by_side(*sides, ["value"], read.append, bucket_rows))
    counts: Counter[str] = Counter()
    both = []
    for pairs in pieces:
        counts.update(pairs.fates())
        assert pairs.before["object_id"].equals(pairs.after["object_id"])
        both += pairs.before["object_id"].to_pylist()
    assert sorted(both) == sorted(before.keys() & after.keys())
    expected = Counter(fate(before.get(key), after.get(key)) for key in before.keys() | after.keys())
    assert counts == {name: expected[name] for name in FATES}
    assert sum(read) == len(before) + len(after)
    assert bucket_rows == 100 or len(pieces) >= max(len(before), len(after), 1) // bucket_rows


def test_a_galaxy_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    once = snapshot(str(tmp_path), "once", {"g1": ("r", "x", None)})
    twice = Snapshot((*once.files, *once.files), SCHEMA)
    for bucket_rows in (1, 100):
        with pytest.raises(InputError, match="holds galaxy g1 more than once"):
            list(side_by_side(once, twice, [], bucket_rows=bucket_rows))


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    once = snapshot(str(tmp_path), "once", {"g1": ("r", "x", None)})
    bare = Snapshot(once.files, SCHEMA.remove(SCHEMA.get_field_index("stale")))
    with pytest.raises(InputError, match="lacks column 'stale'"):
        list(side_by_side(once, bare, []))
