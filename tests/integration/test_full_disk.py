"""Trouble of this machine that passes: a disk that is full or read-only, too few open files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.survey import write_survey
from tests.support.command import RAY_SETTINGS, ROOT
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import galaxy, png

GALAXIES = 96
SETTINGS = ("input=cutouts", "unit_rows=48", "transforms=1", "precision=float32")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for a plan and not much more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def remount(disk: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(["remount", *options]), disk], check=True)


def assert_refused(folder: Path, told: str) -> None:
    run = tuningfork("classify", "output=disk/out", *SETTINGS, cwd=folder)
    *progress, line = run.stderr.splitlines()
    assert run.returncode == 1, run.stderr
    assert line.startswith("tuningfork: ")
    assert line.endswith(f"{told}, then run the same command again")
    assert not [line for line in progress if not line.startswith("Classifying: ")]


@pytest.mark.parametrize("often", [False, pytest.param(True, marks=pytest.mark.long)], ids=["once", "often"])
def test_a_run_goes_on_once_its_disk_has_room(small_disk: Path, tmp_path: Path, often: bool) -> None:
    write_survey(tmp_path / "cutouts", GALAXIES)
    assert_refused(tmp_path, "the disk is full; make room")  # for a part
    parts = sum(file.stat().st_size for file in small_disk.rglob("*.parquet"))
    assert parts == 0
    if often:
        remount(small_disk, "size=230k")
        assert_refused(tmp_path, "the disk is full; make room")  # in the commit
        assert list(small_disk.glob("out/runs/*/quarantine.parquet"))
    remount(small_disk, "ro")
    assert_refused(tmp_path, "the disk is mounted for reading only; mount it for writing")
    remount(small_disk, "rw", "size=64m")
    run = tuningfork("classify", "output=disk/out", *SETTINGS, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert tuningfork("verify", "disk/out", cwd=tmp_path).returncode == 0


def test_a_full_disk_is_one_line_for_every_verb(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "g.png").write_bytes(png(galaxy(0, 424)))
    done = tuningfork("ingest", "images", "images", "output=disk/cutouts", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "the disk is full; make room, then run the same command again" in done.stderr


def test_too_few_open_files_are_told_before_ray_starts(tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 8)
    command = ["-m", "jobs.cli", "classify", "output=out", *SETTINGS]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", sys.executable, *command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **RAY_SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "tuningfork: no more than 64 files may be open at a time here, and Ray needs 256; raise the limit "
        "(ulimit -n), then run the same command again\n",
    )
