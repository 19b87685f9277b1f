"""The wheel alone, in a folder far from the checkout: the commands of the README, and Ray's processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.command import RAY_SETTINGS
from tests.support.wheel import install_wheel


@pytest.mark.long
def test_the_wheel_classifies_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    commands, folder = install_wheel(wheel, tmp_path / "environment"), tmp_path / "elsewhere"
    folder.mkdir()

    def said(*words: str) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **RAY_SETTINGS}
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def here(*words: str) -> str:
        return said(str(commands / "tuningfork"), *words)

    packages = str(next((tmp_path / "environment").glob("lib/python*/site-packages")))
    home = "import pipeline, jobs; print(pipeline.__file__, jobs.__file__)"
    assert said(str(commands / "python"), "-c", home).count(packages) == 2

    here("ingest", "hubble", "output=out/hubble/cutouts")
    assert "116 galaxies classified, 0 quarantined" in here("classify", "--config", "hubble")
    assert "clean: 116 input rows = 116 classified" in here("verify", "out/hubble")
    assert (folder / "out" / "hubble" / "report.html").stat().st_size > 100_000
