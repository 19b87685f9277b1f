"""Where nobody reads what is printed, as in ``verify … | head -1``: quiet, with a status of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tree import DecisionTree
from tests.support.command import ROOT
from tests.support.outputs import make_output


@pytest.mark.parametrize("words", [["verify"], ["status"], ["status", "--json"], ["vacuum"]])
def test_nobody_reads_what_is_printed(tmp_path: Path, tree: DecisionTree, words: list[str]) -> None:
    layout, _ = make_output(tmp_path, tree)
    assert printed_to_nobody(*words, layout.output) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("words", [["--help"], ["classify", "input=a", "output=b", "--print-config"]])
def test_nobody_reads_the_help(words: list[str]) -> None:
    assert printed_to_nobody(*words) == (128 + signal.SIGPIPE, "")


def test_nobody_reads_the_findings_and_there_are_some(tmp_path: Path, tree: DecisionTree) -> None:
    layout, _ = make_output(tmp_path, tree)
    Path(layout.plan).unlink()
    verify = [sys.executable, "-m", "jobs.cli", "verify", layout.output]
    shown = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (1, "")
    assert printed_to_nobody("verify", layout.output) == (128 + signal.SIGPIPE, "")


def printed_to_nobody(*words: str) -> tuple[int, str]:
    """Exit status and standard error of a verb whose standard output is a pipe that no one reads."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *words],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    return done.returncode, done.stderr
