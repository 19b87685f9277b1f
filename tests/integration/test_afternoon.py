"""The afternoon's commands, as they stand on its page, for galaxies and votes that are made up here."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hats.io.validation import is_valid_catalog

from tests.integration.test_tutorial import NOT_HERE, ROOT, run
from tests.support.catalogues import TREE, random_probabilities
from tests.support.galaxies import galaxy, png

PAGE = ROOT / "docs" / "tutorial" / "afternoon.md"
GALAXIES = 60


def prepare(folder: Path) -> None:
    """Pictures, their positions, and votes."""
    (folder / "my_galaxies").mkdir()
    rng = np.random.default_rng(2)
    places = zip(rng.uniform(149.5, 150.5, GALAXIES), rng.uniform(1.5, 2.5, GALAXIES), strict=True)
    with (folder / "positions.csv").open("w", newline="") as positions:
        rows = csv.writer(positions)
        rows.writerow(["name", "ra", "dec"])
        for number, (ra, dec) in enumerate(places):
            (folder / "my_galaxies" / f"{1000 + number}.png").write_bytes(png(galaxy(number, 160)))
            rows.writerow([1000 + number, f"{ra:.6f}", f"{dec:.6f}"])
    with (folder / "votes.csv").open("w", newline="") as votes:
        rows = csv.writer(votes)
        rows.writerow(["GalaxyID", *TREE.class_columns])
        for number, shares in enumerate(random_probabilities(GALAXIES)):
            rows.writerow([1000 + number, *(f"{share:.6f}" for share in shares)])


def test_the_afternoon_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    assert run(PAGE.read_text(encoding="utf-8"), tmp_path, {NOT_HERE}) == 8
    published = tmp_path / "out" / "published" / "current"
    assert is_valid_catalog(published / "hats", strict=True)
    assert f"{GALAXIES} galaxies, version 1.0" in (published / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "afternoon" / "triaged" / "worklist.parquet").exists()
