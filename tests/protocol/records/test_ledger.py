from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.protocol import LedgerEntry, Plan, RunLayout
from pipeline.protocol.records import read_ledger, record_unit
from pipeline.protocol.records.ledger import read_stored
from pipeline.tree import DecisionTree
from tests.support.runs import classified_rows, rejected_rows


def test_a_recorded_unit_can_be_read_back(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    unit = next(plan.units())
    rows = classified_rows(tree, unit, plan.run, bad=3)
    entry = record_unit(layout, unit, rows, rejected_rows(unit, 3), {"model": 1.23456})
    assert read_ledger(layout) == {0: entry}
    assert (entry.rows, entry.classified, entry.quarantined) == (10, 7, {"empty": 3})
    assert entry.seconds == {"model": 1.235}
    assert entry.part is not None
    assert entry.rejects is not None
    assert read_stored(layout, entry.part).equals(rows)
    assert read_stored(layout, entry.rejects)["row"].to_pylist() == [7, 8, 9]


def test_rows_must_balance(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    unit = next(plan.units())
    with pytest.raises(ValueError, match="10 rows in, 8 classified and 1 quarantined"):
        record_unit(layout, unit, classified_rows(tree, unit, plan.run, bad=2), rejected_rows(unit, 1), {})
    assert read_ledger(layout) == {}


def test_of_two_writers_one_stands(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    unit = next(plan.units())
    rows, rejects = classified_rows(tree, unit, plan.run), rejected_rows(unit, 0)
    entries: list[LedgerEntry] = []
    start = threading.Barrier(4)

    def write() -> None:
        start.wait()
        entries.append(record_unit(layout, unit, rows, rejects, {}))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.part.name for entry in entries if entry.part}) == 1
    assert read_ledger(layout) == {0: entries[0]}
    assert len(list(Path(layout.parts).iterdir())) == 4


def test_a_changed_part_is_noticed(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    unit = next(plan.units())
    entry = record_unit(layout, unit, classified_rows(tree, unit, plan.run), rejected_rows(unit, 0), {})
    assert entry.part is not None
    path = Path(layout.parts) / entry.part.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="sha256 differs"):
        read_stored(layout, entry.part)


def test_a_torn_entry_is_named(layout: RunLayout) -> None:
    path = Path(layout.ledger) / "00000000.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"unit": 0, "rows"')
    with pytest.raises(InputError, match=r"00000000\.json is not a ledger entry"):
        read_ledger(layout)
