"""Exports: asked for, waited for, fetched whole or not at all, and handed to `votes`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.panoptes import pull
from tests.support.exports import export, row
from tests.support.panoptes import Panoptes
from tests.support.panoptes_server import WORKFLOW
from tests.support.tables import snapshot

SMOOTH = [("smooth_or_featured", "smooth"), ("how_rounded", "round")]
TEXT = export(row(number, f"user{number % 7}", f"g{number % 11}", SMOOTH) for number in range(40)).decode()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "_POLL_SECONDS", 0.1)


def run(folder: Path, *words: str, workflow: int = WORKFLOW) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["zooniverse", "pull", f"workflow={workflow}", f"output={folder}/exports", "patience=2", *words])
    return int(ended.value.code or 0)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "exports").glob("*"))


def test_the_last_export_is_fetched_once(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behave(ready_export=TEXT)
    for _ in range(2):
        assert run(tmp_path) == 0
    (file,) = files(tmp_path)
    assert file.read_text() == TEXT
    assert f"tuningfork votes export={file}" in capsys.readouterr().out
    assert server.state()["requests"]["GET exports"] == 1


def test_a_new_one_is_asked_for_and_its_votes_are_added(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behave(ready_export=export([]).decode())
    server.behave(export=TEXT, export_seconds=0.5)
    assert run(tmp_path, "generate=true", f"votes={tmp_path}/people") == 0
    assert "40 new classifications with 80 votes added" in capsys.readouterr().out
    assert len(snapshot(str(tmp_path / "people" / "votes"))) == 80


def test_what_the_network_does_to_it(server: Panoptes, tmp_path: Path) -> None:
    server.behave(
        export=TEXT, export_seconds=0.2, faults={"rate": 0.2, "seed": 9, "seconds": 0.3, "times": 30}
    )
    server.behave(half_sent=2)
    assert run(tmp_path, "generate=true") == 0
    assert [file.read_text() for file in files(tmp_path)] == [TEXT]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT[:-40], "ends in the middle of a row; have another one made: generate=true"),
        ("<html><body>gone</body></html>\n", "is none of classifications: its first line is '<html>"),
        ("", "is none of classifications: its first line is ''"),
        ("a,b\n1,2\n", "is none of classifications: its first line is 'a,b'"),
    ],
)
def test_what_is_no_whole_export_leaves_nothing(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    server.behave(ready_export=text)
    assert run(tmp_path) == 2
    assert expected in capsys.readouterr().err
    assert files(tmp_path) == []


def test_one_that_always_breaks_off_leaves_nothing(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behave(ready_export=TEXT, half_sent=100)
    assert run(tmp_path) == 1
    assert "broke off; run it again" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_one_that_never_gets_ready(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the Zooniverse, which makes one a day, drops the request without a word."""
    server.behave(ready_export=TEXT)
    server.behave(export_seconds=None)
    assert run(tmp_path, "generate=true", "wait=1s") == 1
    assert "isn't ready after 1 s" in capsys.readouterr().err
    assert run(tmp_path, "wait=1s") == 1
    assert files(tmp_path) == []


def test_none_was_ever_asked_for(
    server: Panoptes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 2
    assert "has no export of it, or none that you may see" in capsys.readouterr().err
    assert run(tmp_path, "generate=true", workflow=99) == 2
    assert "Could not find workflow with id='99'" in capsys.readouterr().err


def test_how_long_to_wait_is_a_duration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "wait=long") == 2
    assert "'long' is no duration" in capsys.readouterr().err
