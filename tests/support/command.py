"""The command line: in a process of its own, as its user runs it, or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from jobs.cli import main
from tests.support.forked_workers import use_forks

ROOT = Path(__file__).resolve().parents[2]
RAY_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Of every Ray that a test starts; its workers, at niceness 15, would wait for what else is tested."""


def tuningfork(
    *words: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb with nothing in its environment but what it needs and what is given."""
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *words],
        cwd=cwd,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(cwd),
            **RAY_SETTINGS,
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def tuningfork_here(
    *words: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb in this process; takes and gives what `tuningfork` does, at a third of its price.

    Ray, once it runs, serves the verbs that follow, and is loaded once, as torch is. What a test says of the
    process itself (its signals and streams, what it loads, the Ray that it starts, that it is dead when its
    lease is taken over) needs `tuningfork`.
    """
    use_forks()
    said, complained = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        patch.dict(os.environ, environment or {}),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        try:
            main(list(words))
        except SystemExit as ending:
            status = ending.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, said.getvalue(), complained.getvalue())
