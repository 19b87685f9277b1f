"""A folder of pictures as a user has it: one command to a catalogue, killed, changed, and misused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.faults import CRASH_AT
from tests.faults.harness import running
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

SETTINGS = ("transforms=1", "precision=float32", "unit_rows=4")
WORDS = ("input=my galaxies", "output=out", "positions=positions.csv", *SETTINGS)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Twelve pictures, one damaged and one without a position; a name that repeats, and a link to nothing."""
    (tmp_path / "my galaxies").mkdir()
    for number in range(12):
        (tmp_path / "my galaxies" / f"g{number:02d}.png").write_bytes(png(galaxy(number, 160)))
    (tmp_path / "my galaxies" / "g04.png").write_bytes(b"no picture")
    (tmp_path / "my galaxies" / "later").mkdir()
    (tmp_path / "my galaxies" / "later" / "g03.png").write_bytes(png(galaxy(30, 160)))
    (tmp_path / "my galaxies" / "lost.jpg").symlink_to(tmp_path / "another disk" / "lost.jpg")
    (tmp_path / "my galaxies" / "notes.txt").write_text("seen in March")
    write_positions(tmp_path, range(11))
    return tmp_path


def write_positions(folder: Path, numbers: range) -> None:
    lines = [f"g{number:02d}.png,{150 + number},2" for number in numbers]
    (folder / "positions.csv").write_text("\n".join(["name,ra,dec", *lines]))


def done(*words: str, cwd: Path) -> str:
    process = tuningfork(*words, cwd=cwd)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_folder_of_pictures_is_classified_and_kept_up_to_date(here: Path, killed: bool) -> None:
    if killed:
        with running(["classify", *WORDS], here, {CRASH_AT: "after_part"}) as run:
            assert run.process.wait(300) == -9, run.text()
    assert "11 galaxies classified, 3 quarantined" in done("classify", *WORDS, cwd=here)
    (file,) = (here / "out" / "runs").glob("*/quarantine.parquet")
    messages = {row["reason"]: row["message"] for row in pq.read_table(file).to_pylist()}
    assert messages.keys() == {"not_an_image", "duplicate_object_id", "unreadable_rows"}
    folder = here / "my galaxies"
    assert messages["duplicate_object_id"].startswith(
        f"{folder / 'later' / 'g03.png'} has the object_id 'g03' of {folder / 'g03.png'}"
    )
    assert f"{folder / 'lost.jpg'}: it doesn't exist; it is a link to nothing" in messages["unreadable_rows"]
    first = snapshot(str(here / "out" / "catalogue"))
    named = dict(zip(first["object_id"].to_pylist(), first["ra"].to_pylist(), strict=True))
    assert named == {
        f"g{number:02d}": 150 + number if number < 11 else None for number in range(12) if number != 4
    }
    assert "clean: 14 input rows = 11 classified + 3 quarantined" in done("verify", "out", cwd=here)
    assert "Nothing to do" in done("classify", *WORDS, cwd=here)
    assert "Nothing to do" in done("classify", *WORDS, "--dry-run", cwd=here)
    assert {path.name for path in (here / "my galaxies").iterdir()} == {
        *("later", "lost.jpg", "notes.txt"),
        *(f"g{number:02d}.png" for number in range(12)),
    }

    (here / "my galaxies" / "a.png").write_bytes(png(galaxy(20, 160)))
    (here / "my galaxies" / "g07.png").write_bytes(png(galaxy(21, 160)))
    (here / "my galaxies" / "g09.png").unlink()
    refused = tuningfork("classify", *WORDS, cwd=here)
    assert refused.returncode == 2
    assert "made from something else: input" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "`tuningfork refresh` brings it up to date, and classifies only what is new" in refused.stderr
    assert refusal(*WORDS, cwd=here) == refused.stderr
    said = done("refresh", *WORDS, cwd=here)
    assert "1 are gone" in said
    assert "2 galaxies classified" in said
    second = snapshot(str(here / "out" / "catalogue"))
    latest = {
        name
        for name, run in zip(second["object_id"].to_pylist(), second["run"].to_pylist(), strict=True)
        if run not in set(first["run"].to_pylist())
    }
    assert latest == {"a", "g07"}


def refusal(*words: str, cwd: Path) -> str:
    process: subprocess.CompletedProcess[str] = tuningfork("classify", *words, "--dry-run", cwd=cwd)
    assert process.returncode == 2, process.stdout
    assert len(process.stderr.splitlines()) == 1
    return process.stderr


def test_mistakes_with_a_folder_of_pictures_are_told_in_one_line(here: Path) -> None:
    folder = "input=my galaxies"
    inside = refusal(folder, "output=my galaxies/out", cwd=here)
    assert "lies in the folder of pictures" in inside
    (here / "a link").symlink_to(here / "my galaxies")
    linked = refusal("input=a link", "output=my galaxies/out", cwd=here)
    assert "lies in the folder of pictures" in linked
    odd = here / "my galaxies" / os.fsdecode(b"\xff.jpg")
    odd.write_bytes(b"")
    assert r"\udcff.jpg has a name that isn't UTF-8" in refusal(folder, "output=out", cwd=here)
    odd.unlink()
    (here / "other.csv").write_text("objid,ra,dec\n587,1,2\n")
    assert "has a position for none of the 14 images" in refusal(
        folder, "output=out", "positions=other.csv", cwd=here
    )
    (here / "other.csv").write_text("id,ra,dec\n587,1,2\n")
    assert "no column 'name'" in refusal(folder, "output=out", "positions=other.csv", cwd=here)
    (here / "set").mkdir()
    (here / "set" / "a.parquet").write_bytes(b"")
    refused = refusal("input=set", "output=out", "positions=positions.csv", cwd=here)
    assert "is for a folder of JPEG and PNG files; a cutout set has positions of its own" in refused
