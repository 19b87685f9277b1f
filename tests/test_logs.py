"""The log as lines of JSON, of real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from pipeline.logs import LOG
from tests.support.command import ROOT

VERB = """
import logging, warnings
from jobs.ending import exit_status
from pipeline.console import say
from pipeline.logs import log_of_run

def verb():
    say("Starting")
    warnings.warn("the store is weak", RuntimeWarning)
    log_of_run("2031-05-09")
    logging.getLogger("library").warning("%d tries left", 2)
    logging.getLogger("library").info("of no interest")
    try:
        {}["key"]
    except KeyError:
        logging.getLogger("library").exception("lost")
    say("Done")

raise SystemExit(exit_status(verb))
"""


FACTS = """
import logging
from pipeline.logs import log_event, log_of_run

log_of_run("2031-05-09")
log_event("unit", rmse=float("nan"), rates=[1.5, float("inf")], note="NaN")
log_event("unit", time=3, level="deep", event="merger")
log_event("status", run="2031-05-08")
logging.getLogger("tuningfork").warning("%d of %s left", 2, "3")
"""


def run(code: str = VERB, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_warnings_and_what_libraries_log_are_lines_of_json_too() -> None:
    done = run(**{LOG: "json"})
    assert done.stderr == ""
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["time"] for line in lines)
    assert [(line["level"], line["event"], line.get("run")) for line in lines] == [
        ("info", "message", None),
        ("warning", "log", None),
        ("warning", "log", "2031-05-09"),
        ("error", "log", "2031-05-09"),
        ("info", "message", "2031-05-09"),
    ]
    start, weak, tries, lost, end = (line["message"] for line in lines)
    assert (start, tries, lost, end) == ("Starting", "2 tries left", "lost", "Done")
    assert "RuntimeWarning: the store is weak" in weak
    assert lines[2]["logger"] == "library"
    assert "KeyError: 'key'" in lines[3]["exception"]


def test_facts_leave_the_fields_of_every_line_alone_and_each_line_is_valid_json() -> None:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    lines = run(FACTS, **{LOG: "json"}).stdout.splitlines()
    unit, merger, status, left = (json.loads(line, parse_constant=refuse) for line in lines)
    for line, level, event in (
        (unit, "info", "unit"),
        (merger, "info", "unit"),
        (status, "info", "status"),
        (left, "warning", "log"),
    ):
        assert (line["level"], line["event"], line["run"]) == (level, event, "2031-05-09")
        assert line["time"].startswith("20")
    assert (unit["rmse"], unit["rates"], unit["note"]) == (None, [1.5, None], "NaN")
    assert (merger["time_"], merger["level_"], merger["event_"]) == (3, "deep", "merger")
    assert status["run_"] == "2031-05-08"
    assert (left["logger"], left["message"]) == ("tuningfork", "2 of 3 left")


def test_people_see_messages_and_the_rest_on_standard_error() -> None:
    done = run()
    assert done.stdout == "Starting\nDone\n"
    assert "RuntimeWarning: the store is weak" in done.stderr
    assert "2 tries left\nlost\nTraceback" in done.stderr
