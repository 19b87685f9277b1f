"""A push that sleeps through a takeover by another machine's goes on, and nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.harness import running, stop, wait_for
from tests.faults.zooniverse import WORDS
from tests.support.command import ROOT, tuningfork_here
from tests.support.panoptes import Panoptes, check_once, write_subjects
from tests.support.panoptes_server import WORKFLOW

ELSEWHERE = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
"""Runs a command under another host's name: what it can't look up may be dead, for all that it knows."""


def test_two_on_one_machine_the_second_is_turned_away(server: Panoptes, tmp_path: Path) -> None:
    """Even while the first is stopped: here it can be looked up that it lives."""
    write_subjects(tmp_path / "subjects", 20)
    with running(WORDS, tmp_path, server.environment()) as first:
        wait_for((tmp_path / "subjects" / "zooniverse" / "lease.json").exists, seconds=120)
        stop(first.process.pid)
        second = tuningfork_here(*WORDS, cwd=tmp_path, environment=server.environment())
        assert second.returncode == 3
        assert "is held by run of `zooniverse push`" in second.stderr
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.wait() == 0, first.text()
    check_once(server.state(), 20, WORKFLOW)


@pytest.mark.long
def test_stopped_taken_over_and_continued(server: Panoptes, tmp_path: Path) -> None:
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode:
        pytest.fail("another host's name can't be had here: run as root, with unshare of util-linux")
    write_subjects(tmp_path / "subjects", 400)
    server.behave(faults={"rate": 0.1, "seed": 8, "seconds": 1.2})
    with running(WORDS, tmp_path, server.environment()) as first:
        wait_for(lambda: server.count() > 120, seconds=240)
        stop(first.process.pid)
        other = subprocess.run(
            [*ELSEWHERE, sys.executable, "-m", "jobs.cli", *WORDS],
            cwd=tmp_path,
            env=os.environ | server.environment() | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert other.returncode == 0, other.stderr
        check_once(server.state(), 400, WORKFLOW)
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.wait() == 3, first.text()
        assert "was taken over by" in first.text()
    check_once(server.state(), 400, WORKFLOW)
