"""Uploads as their user starts them: everything once, whatever goes wrong; bad input named in one line."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.panoptes import push
from tests.faults.zooniverse import pushed_and_killed
from tests.support.panoptes import Panoptes, check_once, write_subjects
from tests.support.panoptes_server import OTHER_PROJECT, OTHER_WORKFLOW, PROJECT, WORKFLOW


@pytest.fixture(autouse=True)
def _not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_LATE_SECONDS", 0.5)


@pytest.fixture
def subjects(tmp_path: Path) -> Path:
    return write_subjects(tmp_path / "subjects", 20)


def run(subjects: Path, *words: str, project: int = PROJECT) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["zooniverse", "push", str(subjects), f"project={project}", "patience=1", *words])
    return int(ended.value.code or 0)


def test_all_is_there_once_and_a_second_push_does_nothing(
    server: Panoptes, subjects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(subjects, f"workflow={WORKFLOW}", "name=Hard ones") == 0
    said = capsys.readouterr().out
    assert "20 subjects sent, 20 are in subject set" in said
    assert f"Workflow {WORKFLOW} shows them from now on" in said
    state = server.state()
    check_once(state, 20, WORKFLOW)
    (made,) = state["sets"].values()
    assert made["name"] == "Hard ones"
    one = next(iter(state["subjects"].values()))["metadata"]
    assert set(one) == {"#object_id", "#ra", "#dec", "#questions", "#confidence", "#tuningfork"}
    with (subjects / "zooniverse" / "subjects.csv").open() as stream:
        listed = {row["subject_id"]: row for row in csv.DictReader(stream)}
    assert listed.keys() == state["subjects"].keys()
    for number, row in listed.items():
        assert row["object_id"] == state["subjects"][number]["metadata"]["#object_id"]
        assert row["sha256"] == state["pictures"][number]
    asked = state["requests"]
    assert run(subjects, f"workflow={WORKFLOW}") == 0
    assert "0 subjects sent, 20 are in subject set" in capsys.readouterr().out
    after = server.state()
    assert {
        kind: after["requests"][kind] for kind in asked if kind[:3] in ("POS", "PUT") and "oauth" not in kind
    } == {kind: asked[kind] for kind in asked if kind[:3] in ("POS", "PUT") and "oauth" not in kind}
    check_once(after, 20, WORKFLOW)


@pytest.mark.parametrize(
    "kind",
    [
        *("reset", "late", "expired"),
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("busy", "broken", "silent", "throttled")),
    ],
)
def test_each_kind_of_fault(server: Panoptes, subjects: Path, kind: str) -> None:
    server.behave(faults={"rate": 0.15, "kinds": [kind], "seed": 3, "seconds": 0.6, "times": 12})
    assert run(subjects, f"workflow={WORKFLOW}") == 0
    state = server.state()
    assert state["faults"].keys() == {kind}
    check_once(state, 20, WORKFLOW)


def test_what_turns_up_after_it_was_made_again_is_removed(
    server: Panoptes, subjects: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests of which no answer came are carried out only when others have made their subjects."""
    remove = push.Push._remove_others

    def remove_when_all_came(self: push.Push) -> int:
        server.behave(release=True)
        return remove(self)

    monkeypatch.setattr(push.Push, "_remove_others", remove_when_all_came)
    held = {"rate": 1.0, "kinds": ["late"], "seconds": None, "times": 6}
    server.behave(faults=held | {"paths": "/api/subjects", "methods": ["POST"]})
    assert run(subjects, "threads=4") == 0
    state = server.state()
    check_once(state, 20)
    assert state["removed"] == 6
    assert "6 that were made twice" in capsys.readouterr().out


def test_a_set_that_turns_up_after_it_was_made_again_is_removed(
    server: Panoptes, subjects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = push.Push._link_all

    def link_when_the_other_set_came(self: push.Push) -> None:
        server.behave(release=True)
        link(self)

    monkeypatch.setattr(push.Push, "_link_all", link_when_the_other_set_came)
    held = {"rate": 1.0, "kinds": ["late"], "seconds": None, "times": 1}
    server.behave(faults=held | {"paths": "/api/subject_sets", "methods": ["POST"]})
    assert run(subjects, f"workflow={WORKFLOW}") == 0
    state = server.state()
    assert state["requests"]["DELETE subject_sets"] == 1
    check_once(state, 20, WORKFLOW)


def test_where_the_records_are_lost_the_subjects_are_found(server: Panoptes, subjects: Path) -> None:
    assert run(subjects) == 0
    shutil.rmtree(subjects / "zooniverse")
    assert run(subjects) == 0
    state = server.state()
    check_once(state, 20)
    assert state["removed"] == 0


def test_a_set_of_ones_own_keeps_what_is_in_it(server: Panoptes, subjects: Path, tmp_path: Path) -> None:
    assert run(write_subjects(tmp_path / "first", 3)) == 0
    (number,) = server.state()["sets"]
    assert run(subjects, f"subject_set={number}") == 0
    (only,) = server.state()["sets"].values()
    assert len(only["subjects"]) == 23


def test_a_dry_run_writes_and_sends_nothing(
    server: Panoptes, subjects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settled = subjects.parent / "settled.csv"
    settled.write_text("object_id,x\ng/3,1\ng/99,1\n")
    words = (f"workflow={WORKFLOW}", f"retire={settled}", "--dry-run")
    assert run(subjects, *words) == 0
    said = capsys.readouterr().out
    assert (
        "0 of them are sent already; 20 would be, to a subject set 'Galaxies for people' of their own" in said
    )
    assert "1 of them are settled, and would be retired" in said
    assert not (subjects / "zooniverse").exists()
    state = server.state()
    assert state["sets"] == state["subjects"] == {}


def test_settled_galaxies_are_retired(
    server: Panoptes, subjects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(subjects, f"workflow={WORKFLOW}") == 0
    pq.write_table(pa.table({"object_id": ["g/1", "g/7", "elsewhere"]}), tmp_path / "settled.parquet")
    for _ in range(2):
        assert run(subjects, f"workflow={WORKFLOW}", f"retire={tmp_path}/settled.parquet") == 0
    assert f"2 of them are settled; workflow {WORKFLOW} retires them" in capsys.readouterr().out
    state = server.state()
    retired = state["workflows"][str(WORKFLOW)]["retired"]
    galaxies = sorted(state["subjects"][str(number)]["metadata"]["#object_id"] for number in retired)
    assert galaxies == ["g/1", "g/7"]


def _no_manifest(subjects: Path) -> None:
    (subjects / "manifest.csv").unlink()


def _picture_gone(subjects: Path) -> None:
    (subjects / "images" / "000007-g7.jpg").unlink()


def _picture_is_none(subjects: Path) -> None:
    (subjects / "images" / "000007-g7.jpg").write_text("<html>")


def _picture_elsewhere(subjects: Path) -> None:
    _change(subjects, "images/000007-g7.jpg", "../../etc/passwd")


def _twice(subjects: Path) -> None:
    manifest = subjects / "manifest.csv"
    manifest.write_text(manifest.read_text() + manifest.read_text().splitlines()[3] + "\n")


def _torn(subjects: Path) -> None:
    manifest = subjects / "manifest.csv"
    manifest.write_text(manifest.read_text()[:-30])


def _empty(subjects: Path) -> None:
    (subjects / "manifest.csv").write_text("image,#object_id\n")


def _other_columns(subjects: Path) -> None:
    (subjects / "manifest.csv").write_text("picture,#object_id\na,b\n")


def _change(subjects: Path, before: str, after: str) -> None:
    manifest = subjects / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_no_manifest, "has no manifest.csv; expected the folder `subjects` that `triage` wrote"),
        (_picture_gone, "000007-g7.jpg: it doesn't exist"),
        (_picture_is_none, "000007-g7.jpg is no JPEG, though the manifest names it as the picture of 'g/7'"),
        (
            _picture_elsewhere,
            "row 9 names picture '../../etc/passwd'; expected one below the manifest's folder",
        ),
        (_twice, "rows 4 and 22 are the same subject"),
        (_torn, "row 21 has"),
        (_empty, "names no subject"),
        (_other_columns, "has columns picture, #object_id; expected image, #object_id among them"),
    ],
)
def test_what_triage_did_not_write_is_refused_before_anything_is_sent(
    server: Panoptes, subjects: Path, capsys: pytest.CaptureFixture[str], spoil: object, expected: str
) -> None:
    assert callable(spoil)
    spoil(subjects)
    assert run(subjects) == 2
    err = capsys.readouterr().err
    assert err.count("tuningfork: ") == 1
    assert expected in err
    state = server.state()
    assert state["sets"] == state["subjects"] == {}


@pytest.mark.parametrize(
    ("words", "project", "expected"),
    [
        ((), 99, "project=99: "),
        ((), OTHER_PROJECT, "Couldn't find linked project for current user"),
        (("workflow=99",), PROJECT, "workflow=99: "),
        (
            (f"workflow={OTHER_WORKFLOW}",),
            PROJECT,
            f"is of project {OTHER_PROJECT}; expected one of project={PROJECT}",
        ),
        (("subject_set=99",), PROJECT, "subject_set=99: "),
        (("retire=x.parquet",), PROJECT, "no workflow=ID to retire galaxies in"),
        (("endpoint=http://www.zooniverse.org",), PROJECT, "expected https://HOST"),
        (("endpoint=https://a:b@host",), PROJECT, "holds a name or a key before the @"),
        (("threads=0",), PROJECT, "threads=0"),
    ],
)
def test_wrong_ids_and_addresses(
    server: Panoptes,
    subjects: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    project: int,
    expected: str,
) -> None:
    assert run(subjects, *words, project=project) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
    assert server.state()["subjects"] == {}


def test_a_folder_that_was_begun_stays_as_it_is(
    server: Panoptes, subjects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest, a place or a picture that is another one later would make one galaxy two subjects."""
    server.behave(subject_limit=8)
    assert run(subjects) == 2
    assert "User has uploaded 8 subjects of 8 maximum" in capsys.readouterr().err
    server.behave(subject_limit=None)
    sent = {one["metadata"]["#object_id"] for one in server.state()["subjects"].values()}
    left = next(f"images/{n:06d}-g{n}.jpg" for n in range(20) if f"g/{n}" not in sent)
    before = (subjects / left).read_bytes()
    (subjects / left).write_bytes(before + b"\0")
    assert run(subjects) == 2
    assert f"{left} has changed since its push began" in capsys.readouterr().err
    (subjects / left).write_bytes(before)
    _change(subjects, "bar odd", "odd")
    assert run(subjects) == 2
    assert "was pushed with manifest.csv" in capsys.readouterr().err
    _change(subjects, "odd", "bar odd")
    assert run(subjects, project=OTHER_PROJECT) == 2
    assert f"was pushed with project {PROJECT}, and now it is {OTHER_PROJECT}" in capsys.readouterr().err
    assert run(subjects) == 0
    check_once(server.state(), 20)


def test_damaged_records_are_named(
    server: Panoptes, subjects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(subjects) == 0
    (subjects / "zooniverse" / "subjects.csv").unlink()
    (subjects / "zooniverse" / "ledger" / "000000.json").write_text('{"subjects": {"a"')
    assert run(subjects) == 2
    assert "000000.json is damaged" in capsys.readouterr().err


def test_a_server_that_is_gone(subjects: Path, server: Panoptes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said which, and nothing is lost; the same command continues."""
    from pipeline.panoptes import connection

    monkeypatch.setattr(connection, "ATTEMPTS", 2)
    monkeypatch.setattr(connection, "_delay", lambda attempt: 0.01)
    server.behave(faults={"rate": 1.0, "kinds": ["busy"], "paths": "/api/subjects"})
    assert run(subjects) == 1
    server.behave(faults={"rate": 0.0})
    assert run(subjects) == 0
    check_once(server.state(), 20)


def test_killed(server: Panoptes, tmp_path: Path) -> None:
    server.behave(faults={"rate": 0.1, "seed": 5, "seconds": 1.2})
    pushed_and_killed(tmp_path, server, 40, 1, random.Random(5))


@pytest.mark.long
def test_killed_twenty_times(server: Panoptes, tmp_path: Path) -> None:
    server.behave(faults={"rate": 0.1, "seed": 6, "seconds": 1.2})
    pushed_and_killed(tmp_path, server, 2000, 20, random.Random(6))


def test_it_is_logged_as_json(
    server: Panoptes, subjects: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNINGFORK_LOG", "json")
    assert run(subjects) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any("20 subjects sent" in line.get("message", "") for line in lines)
