"""Galaxies cut out of a survey's tiles while they are classified: killed, continued, brought up to date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from pipeline.cutouts.place import Place
from pipeline.faults import CRASH_AT
from tests.faults.harness import running
from tests.support.command import tuningfork
from tests.support.survey_tiles import Sky, survey_file, tile_grid, wcs_at, write_table
from tests.support.tables import snapshot

SIDE, SIZE, STEP = 2, 160, 150
OBJECTS = 40
WORDS = (
    "tiles=tiles",
    "positions=positions.csv",
    "survey=survey.yaml",
    "files=sky-{tile}-{band}.fits",
    "output=out",
    "transforms=1",
    "precision=float32",
    "unit_rows=8",
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Positions of which some lie outside, one stands twice, and some on a tile that is cut short."""
    rng = np.random.default_rng(3)
    whole = wcs_at(150, 2, (STEP * SIDE / 2, STEP * SIDE / 2))
    x, y = rng.uniform(-20, STEP * SIDE + 20, (2, OBJECTS))
    ra, dec = whole.all_pix2world(x, y, 0)
    tile_grid(tmp_path / "tiles", Sky(ra, dec), 150, 2, SIDE, SIZE, STEP)
    short = tmp_path / "tiles" / "sky-11-g.fits"
    short.write_bytes(short.read_bytes()[:20_000])
    ids = [f"g{number}" for number in range(OBJECTS)]
    write_table(tmp_path / "positions.csv", [*ids, "g0"], [*ra, ra[0]], [*dec, dec[0]])
    survey_file(tmp_path)
    return tmp_path


def done(*words: str, cwd: Path) -> str:
    process = tuningfork(*words, cwd=cwd)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.long
def test_positions_on_tiles_are_classified_once_and_kept_up_to_date(here: Path) -> None:
    with running(["classify", *WORDS], here, {CRASH_AT: "after_part"}) as run:
        assert run.process.wait(300) == -9, run.text()
    assert "Nothing" not in done("classify", *WORDS, cwd=here)
    first = snapshot(str(here / "out" / "catalogue"))
    (rejects,) = (here / "out").glob("runs/*/quarantine.parquet")
    reasons = pq.read_table(rejects, columns=["object_id", "reason"]).to_pylist()
    assert {row["reason"] for row in reasons} == {"outside", "damaged_tile", "duplicate_object_id"}
    classified = first["object_id"].to_pylist()
    assert len(set(classified)) == len(classified)
    assert len(classified) + len(reasons) == OBJECTS + 1
    assert {*classified, *(row["object_id"] for row in reasons)} == {f"g{n}" for n in range(OBJECTS)}
    clean = f"clean: {OBJECTS + 1} input rows = {len(classified)} classified + {len(reasons)} quarantined"
    assert clean in done("verify", "out", cwd=here)
    assert "Nothing to do" in done("classify", *WORDS, cwd=here)
    assert not list((here / "out").rglob("cutouts*"))

    tile = here / "tiles" / "sky-00-g.fits"
    with fits.open(tile) as hdus:
        brighter = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(2 * hdus[1].data, hdus[1].header)])
        brighter.writeto(here / "brighter.fits")
    (here / "brighter.fits").replace(tile)
    table = here / "positions.csv"
    head, rest = table.read_text().split("\n", 1)
    table.write_text(f"{head}\nnew,150.0,2.0\n{rest}")
    refused = tuningfork("classify", *WORDS, cwd=here)
    assert refused.returncode == 2
    assert "made from something else: input" in refused.stderr
    done("refresh", *WORDS, cwd=here)
    second = snapshot(str(here / "out" / "catalogue"))
    kept = set(zip(first["object_id"].to_pylist(), first["run"].to_pylist(), strict=True))
    rows = zip(*(second[name].to_pylist() for name in ("object_id", "run", "input")), strict=True)
    anew = {name: Place.parse(place) for name, run, place in rows if (name, run) not in kept}
    assert "new" in anew
    assert 1 < len(anew) < len(classified)
    assert {place.shard.rpartition("#")[0] for place in anew.values()} == {str(here / "tiles")}
    assert "clean" in done("verify", "out", cwd=here)
