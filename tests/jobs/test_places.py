"""Names of places: those that would fail after all the work are refused before it, all others work."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue
from tests.support.galaxies import galaxy, png

ODD = "o [1] %41 ^|{a}*?#é"
"""Nothing in it is in the way of plain files; object stores and the Delta library each dislike some of it."""


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(str(stop.value.code or 0)), capsys.readouterr().err


@pytest.mark.parametrize("verb", ["classify", "refresh"])
@pytest.mark.parametrize(
    ("output", "character"),
    [
        ("o[1]", "'['"),
        ("o%41", "'%41'"),
        ("a\\b", r"'\\'"),
        ("o^", "'^'"),
        ("o|", "'|'"),
        ("o\nx", r"control character '\n'"),
        ("s3://bucket/o\x01", r"control character '\x01'"),
        ("s3://bucket/o?x", "'?'"),
        ("s3://bucket/o#x", "'#'"),
    ],
)
def test_where_no_catalogue_can_be_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verb: str,
    output: str,
    character: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, err = run(capsys, verb, "input=/no/such/place", f"output={output}")
    assert (status, err.count("\n")) == (2, 1)
    assert f"holds {'the ' * character.startswith('control')}{character}" in err
    assert "name a place without it" in err
    assert list(tmp_path.iterdir()) == []


def test_the_folder_that_a_relative_path_is_in_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "run[1]").mkdir()
    monkeypatch.chdir(tmp_path / "run[1]")
    status, err = run(capsys, "classify", "input=/no/such/place", "output=out")
    assert status == 2
    assert "/run[1]/out' holds '['" in err


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "o[1]"],
        ["status", "o[1]"],
        ["vacuum", "o[1]"],
        ["export", "o[1]", "out.csv"],
        ["compare", "a", "o[1]", "output=b"],
        ["evaluate", "o[1]", "labels=a.csv", "output=b"],
        ["triage", "o[1]", "labels=a.csv", "output=b"],
    ],
)
def test_no_catalogue_is_looked_for_there(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, err = run(capsys, *words)
    assert (status, err.count("\n")) == (2, 1)
    assert "holds '['" in err


@pytest.mark.parametrize(
    "words",
    [
        ["ingest", "hubble", "output=a\nb"],
        ["ingest", "images", "images", "output=a\nb"],
        ["export", "catalogue", "a\nb"],
        ["train", "data=d", "output=a\nb"],
        ["explain", "input=i", "output=a\nb"],
        ["compare", "a", "b", "output=a\nb"],
        ["evaluate", "a", "labels=a.csv", "output=a\nb"],
        ["triage", "a", "labels=a.csv", "output=a\nb"],
    ],
)
def test_no_file_has_a_control_character_in_its_name(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    status, err = run(capsys, *words)
    assert (status, err.count("\n")) == (2, 1)
    assert r"holds the control character '\n'" in err


def test_cutouts_and_exports_may_be_named_oddly(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tree: DecisionTree
) -> None:
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "g.png").write_bytes(png(galaxy(1, 64)))
    odd = tmp_path / ODD
    assert run(capsys, "ingest", "images", str(tmp_path / "images"), f"output={odd}/cutouts") == (0, "")
    assert run(capsys, "classify", f"input={odd}/cutouts", "output=b", "--dry-run", "rate=1") == (0, "")
    for form in ("csv", "kaggle", "parquet", "fits", "votable", "hats"):
        out = odd / f"{form} {ODD}"
        status, err = run(capsys, "export", catalogue, str(out), "--format", form)
        assert status == 0, err
        assert out.exists()
