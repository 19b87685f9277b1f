"""Verify on real outputs of which one thing at a time is damaged."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.catalogue import answer_matrix
from pipeline.cutouts import read_ids
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage.local import LocalStore
from pipeline.tree import DecisionTree
from pipeline.upkeep import Recount, verify_output
from pipeline.upkeep.verify.rows import value_problems
from tests.support.damage import (
    Made,
    append_row,
    edit_catalogue,
    edit_entry,
    edit_json,
    edit_part,
    edit_rejects,
    edit_shard_rows,
    exchange_parts,
    flip_bit,
    put,
    quarantine_too,
    rename_galaxy,
    rewrite,
    seal_again,
    stray_entry,
    swap_ids,
    truncate,
)
from tests.support.outputs import commit, plan_run, record, rerun
from tests.support.tables import snapshot

FIRST = "smooth_or_featured_smooth"

DAMAGE: dict[str, tuple[Callable[[Made], object], str]] = {
    "bit flipped in a part": (
        lambda m: flip_bit(m.part(1)),
        r"unit 1: .*parts/00000001-\w+\.parquet: expected sha256",
    ),
    "bit flipped in the rejects": (
        lambda m: flip_bit(m.part(0, "-rejects")),
        r"unit 0: .*-rejects\.parquet: expected sha256",
    ),
    "part deleted": (lambda m: m.part(2).unlink(), r"unit 2: cannot read .*parts/00000002-.*doesn't exist"),
    "rejects deleted": (
        lambda m: m.part(3, "-rejects").unlink(),
        r"unit 3: cannot read .*-rejects.*doesn't exist",
    ),
    "two parts exchanged": (exchange_parts, r"unit 0: .*sha256"),
    "ledger entry deleted": (
        lambda m: m.entry(2).unlink(),
        r"unit 2: .*00000002\.json: expected a ledger entry, found none",
    ),
    "ledger entry torn": (lambda m: truncate(m.entry(1)), r"unit 1: .*00000001\.json is not a ledger entry"),
    "ledger entry for an unknown unit": (stray_entry, r"unit 00000099: .*99\.json: expected units 0 to 3"),
    "ledger entry for another unit": (edit_entry(1, unit=3), r"unit 1: .*expected unit 1, found 3"),
    "ledger entry with other counts": (
        edit_entry(0, rows=9, classified=8),
        r"unit 0: .*expected 10 rows as planned, found 9",
    ),
    "ledger entry with another reason": (
        edit_entry(0, quarantined={"grey": 1}),
        r"unit 0: .*found \{'truncated': 1\}",
    ),
    "plan with another row count": (
        lambda m: edit_json(Path(m.layout.plan), edit_shard_rows),
        r"input: .*a\.parquet: expected rows 11 .*found 12",
    ),
    "plan with other units": (
        lambda m: edit_json(Path(m.layout.plan), lambda p: p.update(unit_rows=5)),
        r"plan: .*unit_rows 10, found 5",
    ),
    "plan torn": (lambda m: truncate(Path(m.layout.plan)), r"plan: .*plan\.json is not a plan"),
    "plan deleted": (lambda m: Path(m.layout.plan).unlink(), r"plan: .*expected a plan\.json, found none"),
    "input shard changed": (rename_galaxy, r"unit 0: .*the object_id of the input row.*'g07'"),
    "input shard touched": (lambda m: os.utime(m.shard("b")), r"input: .*b\.parquet: expected etag"),
    "input shard torn": (lambda m: truncate(m.shard("b")), r"input: .*b\.parquet is not sound Parquet"),
    "input shard deleted": (lambda m: m.shard("b").unlink(), r"input: .*b\.parquet: it doesn't exist"),
    "summary torn": (
        lambda m: truncate(Path(m.layout.summary)),
        r"summary: .*summary\.json: expected a summary",
    ),
    "summary deleted": (
        lambda m: Path(m.layout.summary).unlink(),
        r"summary: .*summary\.json is missing: the run was stopped",
    ),
    "summary with other counts": (
        lambda m: seal_again(m, classified=25),
        r"summary: .*classified 21.*found 25",
    ),
    "quarantine deleted": (
        lambda m: Path(m.layout.quarantine).unlink(),
        r"quarantine: .*quarantine\.parquet: it doesn't",
    ),
    "quarantine torn": (lambda m: truncate(Path(m.layout.quarantine)), r"quarantine: .*expected Parquet"),
    "quarantine row dropped": (
        lambda m: rewrite(Path(m.layout.quarantine), lambda rows: rows.pop(1)),
        r"unit 1: .*1 in neither, such as .*a\.parquet#11",
    ),
    "quarantine row doubled": (
        lambda m: rewrite(Path(m.layout.quarantine), lambda rows: rows.append(rows[0])),
        r"quarantine: .*a\.parquet#4 again",
    ),
    "quarantine reason changed": (
        lambda m: rewrite(Path(m.layout.quarantine), put(0, reason="grey")),
        r"quarantine: .*as its unit wrote it",
    ),
    "row in quarantine and catalogue": (quarantine_too, r"unit 0: .*1 in both, such as .*a\.parquet#0"),
    "unknown reason": (
        lambda m: edit_rejects(m, reason="fate"),
        r"quarantine: .*expected a known reason, found 'fate'",
    ),
    "blank message": (
        lambda m: edit_rejects(m, message=" "),
        r"unit 0: .*-rejects.*expected a message, found ' '",
    ),
    "catalogue file deleted": (
        lambda m: m.data_file.unlink(),
        r"catalogue: cannot look up .*part-.*doesn't exist",
    ),
    "catalogue file torn": (lambda m: truncate(m.data_file), r"catalogue: .*bytes as in the Delta log"),
    "bit flipped in the catalogue": (lambda m: flip_bit(m.data_file, 0.1), r"catalogue: .*part-"),
    "catalogue deleted": (lambda m: shutil.rmtree(m.catalogue), r"run \w+: .*the run is not committed"),
    "Delta log torn": (lambda m: truncate(m.log_file), r"catalogue: .*_delta_log can't be read"),
    "catalogue row doubled": (append_row, r"catalogue: .*expected each row once, found .*a\.parquet#3 again"),
    "catalogue row dropped": (
        lambda m: edit_catalogue(m, lambda rows: rows.pop(3)),
        r"unit 0: .*1 in neither, such as .*a\.parquet#3",
    ),
    "catalogue row of nowhere": (
        lambda m: edit_catalogue(m, put(2, input="elsewhere#7")),
        r"catalogue: .*an input row of the plan, found elsewhere#7",
    ),
    "catalogue ids swapped": (
        lambda m: edit_catalogue(m, swap_ids),
        r"catalogue: .*the object_id of the input row.*'g01' and otherwise in 1 rows more",
    ),
    "catalogue position changed": (
        lambda m: edit_catalogue(m, put(5, ra=12.5)),
        r"catalogue: .*ra=12\.5 where the part has 0\.6",
    ),
    "probability too large": (
        lambda m: edit_catalogue(m, put(5, **{FIRST: 1.5})),
        rf"catalogue: .*within \[0, 1\], found {FIRST}=1\.5",
    ),
    "probability NaN": (
        lambda m: edit_catalogue(m, put(5, **{FIRST: float("nan")})),
        rf"catalogue: .*finite prob.*{FIRST}=nan",
    ),
    "part with a probability too large": (
        lambda m: edit_part(m, 2, put(0, **{FIRST: 1.5})),
        rf"unit 2: .*parts/00000002.*found {FIRST}=1\.5",
    ),
    "part whose sums are off": (
        lambda m: edit_part(m, 2, put(0, odd_feature_ring=0.9)),
        r"unit 2: .*answers of odd_feature that sum",
    ),
    "part with another answer": (
        lambda m: edit_part(m, 2, put(0, bar_answer="maybe")),
        r"unit 2: .*bar_answer as the prob.*maybe where",
    ),
    "part with another agreement": (
        lambda m: edit_part(m, 2, put(0, smooth_or_featured_agreement=2.0)),
        r"unit 2: .*_agreement as the prob.*2\.0",
    ),
    "part of another run": (
        lambda m: edit_part(m, 2, put(0, run="other")),
        r"unit 2: .*expected run .*found 'other'",
    ),
    "part by other weights": (
        lambda m: edit_part(m, 2, put(0, weights="x")),
        r"unit 2: .*expected weights w+, found 'x'",
    ),
    "part without a row": (
        lambda m: edit_part(m, 2, lambda rows: rows.pop()),
        r"unit 2: .*expected 9 rows, found 8",
    ),
    "part with a row twice": (
        lambda m: edit_part(m, 2, lambda rows: rows.__setitem__(1, rows[0])),
        r"unit 2: .*each input row once, found .*b\.parquet#1 2 t",
    ),
}


@pytest.mark.parametrize(("damage", "expected"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_named(made: Made, damage: Callable[[Made], object], expected: str) -> None:
    damage(made)
    found = made.verify()
    assert any(re.search(expected, line) for line in found), found
    assert all("\n" not in line and "; " in line for line in found)
    assert len(found) <= 5, found


def test_a_sound_output_is_clean(made: Made) -> None:
    recount = Recount()
    assert made.verify(recount) == []
    counts = recount.rows, recount.classified, recount.quarantined, recount.units, recount.files
    assert counts == (25, 21, 4, 4, 1)
    assert (recount.run, recount.orphans, recount.parts_removed) == (made.plan.run, [], False)


def test_reading_in_small_batches_changes_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.upkeep.verify.files._BATCH_ROWS", 4)
    assert made.verify() == []
    append_row(made)
    edit_part(made, 2, put(0, ra=5.0))
    assert any("each row once" in line for line in made.verify())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 0.999), st.integers(0, 7))
def test_no_flipped_bit_of_the_catalogue_changes_a_row_unseen(made: Made, at: float, bit: int) -> None:
    """Whichever bit of the data file it is: verify tells, or every row still reads as it was."""
    whole, before = made.data_file.read_bytes(), snapshot(str(made.catalogue))
    data = bytearray(whole)
    data[int(len(data) * at)] ^= 1 << bit
    made.data_file.write_bytes(bytes(data))
    try:
        if not made.verify():
            assert snapshot(str(made.catalogue)).to_pylist() == before.to_pylist()
    finally:
        made.data_file.write_bytes(whole)


UNREACHABLE: dict[str, Callable[[Made], Path]] = {
    "plan": lambda m: Path(m.layout.plan),
    "ledger entry": lambda m: m.entry(1),
    "part": lambda m: m.part(1),
    "rejects": lambda m: m.part(0, "-rejects"),
    "quarantine": lambda m: Path(m.layout.quarantine),
    "summary": lambda m: Path(m.layout.summary),
    "catalogue file": lambda m: m.data_file,
    "Delta log": lambda m: m.log_file,
    "input shard": lambda m: m.shard("b"),
}


@pytest.mark.parametrize("place", UNREACHABLE.values(), ids=UNREACHABLE.keys())
def test_what_the_store_does_not_give_is_not_called_damaged(
    made: Made, place: Callable[[Made], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place(made)

    def failing(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(self: object, name: str, *args: Any, **kwargs: Any) -> Any:
            if name == str(path):
                raise TimeoutError("the disk gave no answer")
            return read(self, name, *args, **kwargs)

        return reading

    if path == made.log_file:
        truncate(path)  # read by the Delta library itself, which fails on this as on a store that is away
    monkeypatch.setattr(LocalFileSystem, "open", failing(LocalFileSystem.open))
    monkeypatch.setattr(LocalStore, "read_bytes", failing(LocalStore.read_bytes))
    with pytest.raises(StorageTrouble, match=f"cannot read {re.escape(str(path))}: the disk gave no answer"):
        print(made.verify())


def test_an_unfinished_run_is_told_by_its_units(tmp_path: Path, tree: DecisionTree) -> None:
    layout, plan = plan_run(tmp_path, tree)
    record(layout, tree, next(plan.units()))
    first, second = Made(tmp_path, layout, plan, tree).verify()
    assert first.startswith("units 1 to 3: ")
    assert first.endswith("expected a ledger entry, found none; give the same command again")
    assert second.startswith(f"run {plan.run}: ")
    assert "not committed" in second


def test_a_damaged_part_of_an_unfinished_run_can_be_done_again(tmp_path: Path, tree: DecisionTree) -> None:
    layout, plan = plan_run(tmp_path, tree)
    for unit in plan.units():
        record(layout, tree, unit)
    made = Made(tmp_path, layout, plan, tree)
    flip_bit(made.part(1))
    advice = f"remove {made.entry(1)} and give the same command again"
    assert any(line.startswith("unit 1: ") and line.endswith(advice) for line in made.verify())
    made.entry(1).unlink()
    record(layout, tree, list(plan.units())[1])
    commit(layout, tree, plan)
    recount = Recount()
    assert made.verify(recount) == []
    assert len(recount.orphans) == 2


def test_a_pending_run_beside_the_snapshot_is_told_apart(made: Made) -> None:
    layout, plan = rerun(made.folder, made.plan)
    recount = Recount()
    assert made.verify(recount) == []
    assert recount.unfinished == plan.run
    for unit in plan.units():
        record(layout, made.tree, unit, seed=7)
    commit(layout, made.tree, plan)
    flip_bit(made.part(0))  # of the run that was superseded
    assert made.verify() == []


def test_a_run_that_commits_meanwhile_is_no_finding(made: Made) -> None:
    def read(shard: str) -> pa.ChunkedArray:
        layout, plan = rerun(made.folder, made.plan)
        if plan.sequence == 2:
            for unit in plan.units():
                record(layout, made.tree, unit, seed=7)
            commit(layout, made.tree, plan)
        return read_ids(shard)

    assert list(verify_output(made.layout.output, made.tree, read)) == []


def test_orphans_are_counted_and_no_finding(made: Made) -> None:
    (Path(made.layout.parts) / "00000001-0123abcd.parquet").write_bytes(b"12345")
    recount = Recount()
    assert made.verify(recount) == []
    assert [file.size for file in recount.orphans] == [5]


def test_without_parts_the_catalogue_is_held_to_inputs_quarantine_and_ledger(made: Made) -> None:
    shutil.rmtree(made.layout.parts)
    Path(made.layout.parts_removed).write_text("{}")
    assert made.verify() == []
    edit_catalogue(made, swap_ids)
    seal_again(made)
    (found,) = made.verify()
    assert "expected the object_id of the input row" in found
    edit_entry(1, rows=2, classified=2, quarantined={})(made)
    assert any(line.startswith("unit 1: ") and "expected 1 classified" in line for line in made.verify())


def test_a_shortfall_of_a_sum_is_sound_in_a_mean_over_views(made: Made) -> None:
    """A question that is all zero in some views takes its mean below the probability that it was asked."""
    table = snapshot(str(made.catalogue))
    p = answer_matrix(made.tree, table)
    p[:, made.tree.slices["odd_feature"]] *= 59 / 60
    wrong_sums = {
        averaged: [
            problem.expected
            for problem in value_problems(made.tree, table, p, averaged)
            if "sum to" in problem.expected and problem.rows.any()
        ]
        for averaged in (True, False)
    }
    assert wrong_sums[True] == []
    assert wrong_sums[False] == ["answers of odd_feature that sum to the probability that it was asked"]


@pytest.mark.parametrize(
    ("name", "clean"), [(None, True), ("g0…", True), ("g04", True), ("g05", False), ("", False)]
)
def test_a_quarantined_row_may_lack_its_name_and_not_bear_another(
    made: Made, name: str | None, clean: bool
) -> None:
    edit_rejects(made, object_id=name)
    seal_again(made)
    assert (made.verify() == []) == clean


def test_what_is_no_output_is_an_error(tmp_path: Path, tree: DecisionTree) -> None:
    with pytest.raises(InputError, match="is no output of classify"):
        list(verify_output(str(tmp_path / "none"), tree, read_ids))
