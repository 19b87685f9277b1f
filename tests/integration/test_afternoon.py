"""The afternoon's commands, as they stand on its page, for galaxies and votes that are made up here."""

from __future__ import annotations

import bz2
import csv
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hats.io.validation import is_valid_catalog

from tests.integration.test_tutorial import NOT_HERE, ROOT, run
from tests.support.catalogues import TREE, random_probabilities
from tests.support.galaxies import galaxy
from tests.support.survey_tiles import wcs_at, write_band

PAGE = ROOT / "docs" / "tutorial" / "afternoon.md"
GALAXIES = 32
BANDS, SCALE, STAMP, SIDE = ("i", "r", "g"), 0.396, 80, 320
OUTSIDE = 2


def prepare(folder: Path) -> None:
    """Two frames of SDSS a band, the galaxies on them and two that are on none, and votes."""
    rng = np.random.default_rng(2)
    places = [(x, y) for x in range(0, SIDE, STAMP) for y in range(0, SIDE, STAMP)]
    galaxies: list[tuple[int, float, float, float]] = []
    for frame, ra in (("004263-2-0155", 150.0), ("004263-2-0156", 150.5)):
        wcs = wcs_at(ra, 2.0, (SIDE / 2, SIDE / 2), scale=SCALE)
        sky = rng.normal(0, 0.02, (3, SIDE, SIDE)).astype(np.float32)
        for x, y in places[: GALAXIES // 2]:
            light = galaxy(len(galaxies), STAMP).astype(np.float32) / 200
            sky[:, y : y + STAMP, x : x + STAMP] += np.moveaxis(light, -1, 0)
            middle = wcs.all_pix2world([[x + STAMP / 2, y + STAMP / 2]], 0)[0]
            galaxies.append((1000 + len(galaxies), float(middle[0]), float(middle[1]), 3.0))
        for band, pixels in zip(BANDS, sky, strict=True):
            path = write_band(folder / "frames" / f"frame-{band}-{frame}.fits", pixels, wcs)
            path.with_suffix(".fits.bz2").write_bytes(bz2.compress(path.read_bytes()))
            path.unlink()
    galaxies += [(1, 10.0, 2.0, 3.0), (2, 151.0, 2.0, 3.0)]
    assert len(galaxies) == GALAXIES + OUTSIDE
    table = Table(rows=galaxies, names=["objid", "ra", "dec", "petroR90_r"])
    table.write(folder / "galaxies.fits")
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
