"""Events as a server gets them, of what begins, ends and fails; and that its trouble is nobody else's."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from pipeline import lineage
from pipeline.lineage import Dataset, traced
from tests.support.collector import Collector, collecting

INPUT = Dataset("s3://sky/cutouts/g")
WEIGHTS = Dataset("/weights/compact.safetensors", "ab12")


@pytest.fixture(autouse=True)
def nothing_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lineage.OPENLINEAGE, "failed", False)
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):  # in which the library keeps what it reads
        for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
            del os.environ[name]
        os.environ["HOME"] = str(tmp_path)
        yield


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        os.environ[lineage.URL] = server.url
        yield server


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said of it, and all that reached standard error."""
    out, err = capsys.readouterr()
    return [line for line in out.splitlines() if "OpenLineage" in line] + err.splitlines()


def run_once(error: BaseException | None = None) -> None:
    with traced("classify", "s3://sky/out", [INPUT, WEIGHTS]) as written:
        if error is not None:
            raise error
        written.append(Dataset("s3://sky/out/catalogue", "7", 1000))


def test_what_is_read_and_written_is_told_with_its_version(collector: Collector) -> None:
    run_once()
    (path, start), (_, end) = collector.received
    assert path == "/api/v1/lineage"
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["job"] == {"namespace": "tuningfork", "name": "classify:s3://sky/out", "facets": {}}
    inputs = [(one["namespace"], one["name"]) for one in end["inputs"]]
    assert inputs == [("s3://sky", "cutouts/g"), ("file", "/weights/compact.safetensors")]
    assert end["inputs"][1]["facets"]["version"]["datasetVersion"] == "ab12"
    (catalogue,) = end["outputs"]
    assert (catalogue["namespace"], catalogue["name"]) == ("s3://sky", "out/catalogue")
    assert catalogue["facets"]["version"]["datasetVersion"] == "7"
    assert catalogue["outputFacets"]["outputStatistics"]["rowCount"] == 1000


def test_two_runs_of_a_job_are_two(collector: Collector) -> None:
    run_once()
    run_once()
    assert len({event["run"]["runId"] for event in collector.events}) == 2
    assert len({event["job"]["name"] for event in collector.events}) == 1


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("http://me:secret@host is gone"), "FAIL"), (KeyboardInterrupt(), "ABORT")],
)
def test_a_run_that_fails_or_is_stopped_says_so(
    error: BaseException, state: str, collector: Collector
) -> None:
    with pytest.raises(type(error)):
        run_once(error)
    _, end = collector.events
    assert (end["eventType"], end["outputs"]) == (state, [])
    message = end["run"]["facets"]["errorMessage"]["message"]
    assert message in ("ValueError: http://…@host is gone", "KeyboardInterrupt")


def test_a_server_that_never_answers_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lineage, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        os.environ[lineage.URL] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run_once()
        (said,) = lines(capsys)
    assert "Nothing more is recorded in OpenLineage" in said
    assert "the event wasn't taken within 0.3 s" in said


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (lineage.URL, "http://me:secret@127.0.0.1:9", "wasn't taken within 1 s"),
        (lineage.URL, "nonsense", "is no address; expected one such as http://"),
        (lineage.URL, "me:secret@127.0.0.1:9", "is no address"),
        (lineage.URL, "http://127.0.0.1:99999/?token=secret", "is no address"),
        (lineage.URL, "http://me:sec/secret@127.0.0.1:9", "is no address"),
        (lineage.CONFIG, "/no/such/file.yml", "no transport is set up"),
        (lineage.CONFIG, __file__, "no transport is set up"),
        ("OPENLINEAGE__TRANSPORT__TYPE", "pigeon", "pigeon"),
    ],
)
def test_trouble_with_it_is_said_once_and_ends_nothing(
    name: str,
    value: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lineage, "_SECONDS", 1.0)
    os.environ[name] = value
    run_once()
    run_once()
    (said,) = lines(capsys)
    assert reason in said
    assert "secret" not in said


def test_a_key_with_the_end_of_its_line_is_not_told(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["OPENLINEAGE_API_KEY"] = "secret\n"
    run_once()
    (said,) = lines(capsys)
    assert "OPENLINEAGE_API_KEY holds a space or the end of a line; give the key alone" in said
    assert "secret" not in said


def test_where_it_is_not_installed_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ[lineage.URL] = "http://127.0.0.1:9"
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    run_once()
    (said,) = lines(capsys)
    assert 'pip install "tuningfork[lineage]"' in said


def test_nothing_is_told_where_nothing_is_set_up_or_it_is_disabled(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["OPENLINEAGE_DISABLED"] = "true"
    run_once()
    del os.environ["OPENLINEAGE_DISABLED"], os.environ[lineage.URL]
    run_once()
    os.environ[lineage.URL] = ""
    run_once()
    assert (collector.events, lines(capsys)) == ([], [])
