"""Vacuum removes what no run needs, and nothing else."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.catalogue.commit import commit_handlers
from pipeline.errors import HeldError
from pipeline.protocol import Removal, catalogue_uri, make_plan
from pipeline.protocol import commit as protocol
from pipeline.protocol.lease import ConfirmLease
from pipeline.protocol.records import read_ledger
from pipeline.protocol.records.lease import lease_uri
from pipeline.protocol.steps import perform
from pipeline.protocol.vacuum import Options
from pipeline.tree import DecisionTree
from pipeline.upkeep import parse_duration, vacuum_output
from tests.support.damage import Made, truncate
from tests.support.outputs import commit, make_output, plan_run, record, rerun
from tests.support.steps import adopt_plan, commit_run
from tests.support.tables import snapshot

HOUR = 3600.0
DAY = timedelta(days=1)


def vacuum(made: Made, grace: timedelta = DAY, parts: bool = False, history: bool = False) -> list[Removal]:
    return vacuum_output(made.layout.output, Options(grace.total_seconds(), parts, history))


def leave(path: Path, age: float = 48 * HOUR) -> Path:
    """Write a file as if that many seconds ago."""
    path.write_bytes(b"left over")
    os.utime(path, (time.time() - age,) * 2)
    return path


def files(folder: Path) -> set[str]:
    """All files but those of the lease, which a vacuum takes."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "lease.json" not in path.name)
    return {str(path.relative_to(folder)) for path in paths}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "24", "h", "24 h", "-1h", "1.5h", "1h30m", "24H", "9999999d", "١h"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(
        ValueError, match="is no duration; expected a number and s, m, h, d or w, such as 90m"
    ):
        parse_duration(text)


def test_a_sound_output_has_nothing_to_remove(made: Made) -> None:
    assert vacuum(made, timedelta(0)) == []


def test_orphans_and_leftovers_go_once_they_are_old(made: Made) -> None:
    before = files(made.folder)
    parts = Path(made.layout.parts)
    for age in (HOUR / 2, 48 * HOUR):
        leave(parts / f"00000001-{int(age):08x}.parquet", age)
        leave(parts / f".00000001-0123abcd.parquet.{int(age):08x}", age)
        leave(Path(made.layout.ledger) / f".00000001.json.{int(age):08x}", age)
        leave(Path(made.layout.output) / f".report.html.{int(age):08x}", age)
    removed = vacuum(made)
    assert sum(len(removal.files) for removal in removed) == 4
    assert sum(removal.bytes for removal in removed) == 4 * len(b"left over")
    assert len(files(made.folder) - before) == 4
    # With no grace the young orphan goes; a leftover may be a write in progress for an hour.
    vacuum(made, timedelta(0))
    assert len(files(made.folder) - before) == 3
    assert before <= files(made.folder)
    assert made.verify() == []


def test_a_dry_run_writes_nothing_at_all(made: Made) -> None:
    """So it tells what could go of an output that may only be read, too."""
    old = leave(Path(made.layout.parts) / "00000001-0123abcd.parquet")
    folders = [made.folder, *(path for path in made.folder.rglob("*") if path.is_dir())]
    before = {folder: folder.stat().st_mtime_ns for folder in folders}
    (removal,) = vacuum_output(made.layout.output, Options(DAY.total_seconds(), dry_run=True))
    assert [Path(file.uri) for file in removal.files] == [old]
    assert {folder: folder.stat().st_mtime_ns for folder in folders} == before


def test_strangers_stay(made: Made) -> None:
    """What the pipeline didn't make is none of vacuum's business."""
    for name in ("notes.txt", "runs/mine/parts/00000001-0123abcd.parquet", "cutouts/.a.parquet.0123abcd"):
        path = Path(made.layout.output) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        leave(path)
    leave(Path(made.layout.folder) / "notes.txt")
    leave(Path(made.layout.parts) / "00000001.parquet")
    before = files(made.folder)
    vacuum(made, timedelta(0))
    assert files(made.folder) == before


def test_a_part_about_to_be_entered_stays(tmp_path: Path, tree: DecisionTree) -> None:
    """Of a run that is going, what may get its ledger entry in a moment stays whatever the grace."""
    layout, plan = plan_run(tmp_path, tree)
    record(layout, tree, next(plan.units()))
    made = Made(tmp_path, layout, plan, tree)
    pending = leave(Path(layout.parts) / "00000001-0123abcd.parquet", 60)
    leave(Path(layout.parts) / "00000000-0123abcd.parquet", 60)
    (removal,) = vacuum(made, timedelta(0))
    assert [Path(file.uri).name for file in removal.files] == ["00000000-0123abcd.parquet"]
    assert pending.exists()
    assert read_ledger(layout).keys() == {0}


def test_a_vacuum_that_slept_through_a_takeover_removes_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that no version names are then those that its successor is about to commit."""
    written = list[Path]()
    clock = storage.clock

    def sleep(output: str, may_write: bool) -> float:
        mine = json.loads(storage.read_bytes(lease_uri(output)))
        theirs = mine | {"holder": "theirs", "epoch": mine["epoch"] + 1, "run": "theirs"}
        storage.write_bytes(lease_uri(output), json.dumps(theirs).encode())
        written.append(leave(Path(catalogue_uri(output)) / f"part-00000-01234567-{'0' * 64}.parquet"))
        return clock(output, may_write)

    monkeypatch.setattr(storage, "clock", sleep)
    with pytest.raises(HeldError, match="was taken over by run theirs"):
        vacuum(made)
    assert written[0].exists()
    assert DeltaTable(catalogue_uri(made.layout.output)).version() == 1


def test_a_run_that_was_replaced_is_not_committed_once_its_parts_are_gone(made: Made) -> None:
    """Its driver sleeps before it writes its version; others take over, and a day goes by."""
    layout, second = rerun(made.folder, made.plan)
    for unit in second.units():
        record(layout, made.tree, unit)
    ledger = read_ledger(layout)
    handlers = commit_handlers(layout.output, made.tree)

    def sleep(instruction: protocol.WriteVersion) -> bool:
        third = make_plan(second.shards, second.unit_rows, {"weights": "v" * 64})
        adopt_plan(layout.output, third, new_run=True)
        for part in Path(layout.parts).iterdir():
            os.utime(part, (time.time() - 30 * HOUR,) * 2)
        assert [removal.about for removal in vacuum(made)] == [f"run {second.run}"]
        written: bool = handlers[protocol.WriteVersion](instruction)
        return written

    epoch = DeltaTable(str(made.catalogue)).transaction_version("lease") or 0
    with pytest.raises(HeldError, match="a later run has written to the catalogue"):
        perform(
            protocol.commit(second, ledger, epoch),
            {**handlers, protocol.WriteVersion: sleep, ConfirmLease: lambda _: None},
        )
    assert not list(Path(layout.parts).iterdir())
    assert made.verify() == []


def test_what_a_user_keeps_beside_the_output_stays(made: Made) -> None:
    kept = [leave(Path(made.layout.output) / name) for name in (".env.template", ".my.settings")]
    ours = leave(Path(made.layout.output) / ".report.html.abcd1234")
    vacuum(made)
    assert [path.exists() for path in [*kept, ours]] == [True, True, False]


def test_parts_of_committed_runs_go_only_when_asked(made: Made) -> None:
    layout, plan = rerun(made.folder, made.plan)
    record(layout, made.tree, next(plan.units()))
    before = files(made.folder)
    assert vacuum(made, timedelta(0)) == []
    (removal,) = vacuum(made, timedelta(0), parts=True)
    gone = before - files(made.folder)
    assert len(gone) == len(removal.files) == 8
    assert all(f"runs/{made.plan.run}/parts/" in name for name in gone)
    assert Path(made.layout.parts_removed).exists()
    assert made.verify() == []
    assert vacuum(made, timedelta(0), parts=True) == []


def test_parts_of_a_run_replaced_before_its_commit_go(made: Made) -> None:
    """Only the latest run can be continued; until a later one begins, an unfinished run keeps its parts."""
    layout, plan = rerun(made.folder, made.plan)
    record(layout, made.tree, next(plan.units()))
    for file in Path(layout.parts).iterdir():
        os.utime(file, (time.time() - 48 * HOUR,) * 2)
    assert vacuum(made) == []
    rerun(made.folder, plan)
    (removal,) = vacuum(made)
    assert "replaced before its commit" in removal.what
    assert list(Path(layout.parts).iterdir()) == []
    assert len(list(Path(made.layout.parts).iterdir())) == 8


def test_a_run_without_its_parts_stays_complete(made: Made) -> None:
    """Committing it again changes nothing: the quarantine isn't made anew from rejects that are gone."""
    vacuum(made, parts=True)
    commit_run(made.layout, made.tree, made.plan, read_ledger(made.layout), epoch=1)
    assert made.verify() == []


def test_a_damaged_ledger_is_left_alone(made: Made) -> None:
    """A torn entry's part looks like an orphan, and may be all that is left of the unit."""
    truncate(made.entry(1))
    before = files(made.folder)
    (note,) = vacuum(made, timedelta(0), parts=True)
    assert (note.files, files(made.folder)) == ((), before)
    assert "00000001.json is not a ledger entry" in note.what
    made.entry(1).unlink()
    (note,) = vacuum(made, timedelta(0), parts=True)
    assert files(made.folder) | {str(made.entry(1).relative_to(made.folder))} == before
    assert "its ledger has 3 of 4 units" in note.what


def test_parts_stay_where_the_quarantine_is_gone(made: Made) -> None:
    Path(made.layout.quarantine).unlink()
    before = files(made.folder)
    (note,) = vacuum(made, timedelta(0), parts=True)
    assert files(made.folder) == before
    assert "quarantine.parquet is gone" in note.what


def test_superseded_files_go_past_the_retention_of_the_table(made: Made) -> None:
    layout, plan = rerun(made.folder, made.plan)
    for unit in plan.units():
        record(layout, made.tree, unit, seed=7)
    commit(layout, made.tree, plan)
    assert vacuum(made, timedelta(0), history=True) == []  # the table keeps history for a week
    table = DeltaTable(catalogue_uri(layout.output))
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 hours"})
    rows = snapshot(str(made.catalogue))
    old = made.catalogue / Path(DeltaTable(str(made.catalogue), version=1).file_uris()[0]).name
    size = old.stat().st_size
    time.sleep(0.01)
    assert vacuum(made, timedelta(0)) == []
    (removal,) = vacuum(made, timedelta(0), history=True)
    assert (removal.about, removal.bytes, old.exists()) == ("catalogue", size, False)
    assert snapshot(str(made.catalogue)).equals(rows)
    assert made.verify() == []


LEFTOVERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "parts/{unit:08d}-{salt:08x}.parquet",
                "parts/{unit:08d}-{salt:08x}-rejects.parquet",
                "parts/.{unit:08d}-0123abcd.parquet.{salt:08x}",
                "ledger/.{unit:08d}.json.{salt:08x}",
                ".plan.json.{salt:08x}",
                ".quarantine.parquet.{salt:08x}",
            ]
        ),
        st.integers(0, 5),
        st.floats(0, 72 * HOUR),
    ),
    max_size=8,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    leftovers=LEFTOVERS,
    aged=st.booleans(),
    grace=st.sampled_from(["0s", "90m", "24h", "7d"]),
    parts=st.booleans(),
    done=st.integers(0, 4),
)
def test_vacuum_makes_no_output_unclean(
    tmp_path_factory: pytest.TempPathFactory,
    tree: DecisionTree,
    leftovers: list[tuple[str, int, float]],
    aged: bool,
    grace: str,
    parts: bool,
    done: int,
) -> None:
    """Whatever lies about, of whatever age: a clean run stays clean, a pending one can be finished."""
    folder = tmp_path_factory.mktemp("vacuum")
    layout, plan = make_output(folder, tree)
    pending_layout, pending = rerun(folder, plan)
    units = list(pending.units())
    for unit in units[:done]:
        record(pending_layout, tree, unit)
    made = Made(folder, layout, plan, tree)
    if aged:
        for path in folder.glob("out/runs/**/*"):
            os.utime(path, (time.time() - 100 * HOUR,) * 2)
    ages = {}
    for salt, (name, number, age) in enumerate(leftovers):
        for run in (layout, pending_layout):
            path = Path(run.folder) / name.format(unit=number, salt=salt)
            path.parent.mkdir(parents=True, exist_ok=True)
            leave(path, age)
            ages[path.name] = age + 60
    before = made.verify()
    found = vacuum(made, parse_duration(grace), parts)
    assert made.verify() == before
    removed = {Path(file.uri).name for removal in found for file in removal.files}
    assert all(timedelta(seconds=ages[name]) > parse_duration(grace) for name in removed & ages.keys())
    assert parts or removed <= ages.keys()
    for unit in units[done:]:
        record(pending_layout, tree, unit)
    commit(pending_layout, tree, pending)
    assert made.verify() == []
