"""Made galaxies as their user asks for them: one command, and the set is an input like any other."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.command import tuningfork_here as here
from tests.support.imagined import write_generator
from tests.support.tables import snapshot

SETTINGS = ("weights=small.safetensors", "votes=something_odd_yes=0.9,odd_feature_dust_lane=0.8", "steps=1")


def files(folder: Path) -> dict[str, bytes]:
    """All files but those, hidden, that a kill cut short."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_made_galaxies_are_classified_like_any_others(tmp_path: Path) -> None:
    write_generator(str(tmp_path / "small.safetensors"))
    done = here("imagine", *SETTINGS, "output=made", "count=6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "made: 6 cutouts" in done.stdout
    assert "Synthetic galaxies, not observed" in done.stdout
    assert "something_odd_yes=0.9 is more than any galaxy has that small.safetensors learnt" in done.stderr
    assert "odd_feature_dust_lane" not in done.stderr
    again = here("imagine", *SETTINGS, "output=made", "count=6", cwd=tmp_path)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    classified = here("classify", "input=made", "output=out", "transforms=1", cwd=tmp_path)
    assert classified.returncode == 0, classified.stderr
    rows = snapshot(str(tmp_path / "out" / "catalogue"))
    ids = sorted(rows["object_id"].to_pylist())
    assert ids == sorted(path.stem for path in (tmp_path / "made" / "images").iterdir())
    assert all(name.startswith("synthetic-") for name in ids)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("votes=odd_feature_dustlane=0.8", "did you mean 'odd_feature_dust_lane'?"),
        ("votes=something_odd_yes=0.1,odd_feature_ring=0.5", "no galaxy can have"),
        ("weights=none.safetensors", "there are no weights none.safetensors"),
        ("weights=compact", "compact.json"),
        ("count=0", "count=0"),
        ("guidance=-1", "guidance=-1"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, changed: str, said: str) -> None:
    write_generator(str(tmp_path / "small.safetensors"))
    done = here("imagine", *SETTINGS, "output=made", "count=2", changed, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.long
def test_one_that_is_killed_goes_on(tmp_path: Path) -> None:
    write_generator(str(tmp_path / "small.safetensors"))
    words = ["imagine", *SETTINGS, "output=made", "count=400"]
    running = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *words], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    while not list((tmp_path / "made" / "images").glob("*.png")):
        assert running.poll() is None
        time.sleep(0.05)
    running.kill()
    assert running.wait() == -9
    assert not (tmp_path / "made" / "survey.json").exists()
    for output in ("made", "whole"):
        done = here(*words, f"output={output}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "made") == files(tmp_path / "whole")
