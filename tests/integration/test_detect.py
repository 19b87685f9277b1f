"""Clumps of a whole set as their user finds them: one command, killed and given again, then tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from pipeline.catalogue.clumps import CLUMP_COUNT
from pipeline.catalogue.export.clumps import CLUMP_SCHEMA
from pipeline.faults import CRASH_AT
from tests.support.clumpy import write_clumpy, write_point_detector
from tests.support.command import tuningfork
from tests.support.command import tuningfork_here as here
from tests.support.tables import snapshot

SETTINGS = ("input=cutouts", "output=out", "clump_weights=points.safetensors", "unit_rows=2")
GALAXIES = 8


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_each_galaxy_has_its_clumps_once(tmp_path: Path, killed: bool) -> None:
    ids = write_clumpy(tmp_path / "cutouts", GALAXIES)
    write_point_detector(str(tmp_path / "points.safetensors"))
    if killed:
        for point in ("after_part", "after_ledger", "after_commit"):
            died = tuningfork("detect", *SETTINGS, cwd=tmp_path, environment={CRASH_AT: point})
            assert died.returncode == -9, died.stderr
    done = here("detect", *SETTINGS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("continues" in done.stdout + done.stderr) == killed
    rows = snapshot(str(tmp_path / "out" / "catalogue")).sort_by("object_id")
    assert rows["object_id"].to_pylist() == ids
    assert rows[CLUMP_COUNT].to_pylist() == [3, 0] * (GALAXIES // 2)
    checked = here("verify", "out", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    page = (tmp_path / "out" / "clumps" / "report.html").read_text(encoding="utf-8")
    assert f"{3 * GALAXIES // 2} clumps in {GALAXIES // 2} of {GALAXIES} galaxies" in page
    assert page.count("data:image/webp") == GALAXIES // 2
    again = here("detect", *SETTINGS, cwd=tmp_path)
    assert (again.returncode, "Nothing to do" in again.stdout) == (0, True)
    _check_tables(tmp_path)
    _check_refresh(tmp_path)


def _check_tables(folder: Path) -> None:
    """The clumps, one row each, in every form."""
    for out in ("c.csv", "c.parquet", "c.fits", "c.vot"):
        done = here("clumps", "out/catalogue", out, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f"{3 * GALAXIES // 2} clumps written" in done.stdout
    csv, parquet = pd.read_csv(folder / "c.csv"), pq.read_table(folder / "c.parquet")
    fits, votable = (Table.read(folder / name) for name in ("c.fits", "c.vot"))
    expected = parquet["object_id"].to_pylist()
    assert expected[:3] == ["g000#1", "g000#2", "g000#3"]
    for names in (csv["object_id"].tolist(), list(map(str, fits["object_id"])), list(votable["object_id"])):
        assert names == expected
    assert parquet.schema.names == fits.colnames == votable.colnames == CLUMP_SCHEMA.names
    assert (csv["strict"] == (csv["flux_ratio_blue"] >= 0.08)).all()
    galaxies = here("export", "out/catalogue", "g.fits", cwd=folder)
    assert galaxies.returncode == 0, galaxies.stderr
    assert "clumps is left out" in galaxies.stderr
    assert Table.read(folder / "g.fits")[CLUMP_COUNT].sum() == len(expected)
    refused = here("clumps", "out/catalogue", "c.csv", cwd=folder)
    assert (refused.returncode, "exists already" in refused.stderr) == (2, True)


def _check_refresh(folder: Path) -> None:
    """New galaxies come in, and the others keep their clumps; without clumps, all is classified anew."""
    write_clumpy(folder / "more", 2)
    table = pq.read_table(folder / "more" / "0000.parquet")
    ids = ["n0", "n1"]
    table = table.set_column(table.schema.get_field_index("object_id"), "object_id", [ids])
    pq.write_table(table, folder / "cutouts" / "9999.parquet")
    done = here("refresh", *SETTINGS, "clumps=true", "transforms=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"2 of {GALAXIES + 2} galaxies are new" in done.stdout + done.stderr
    rows = snapshot(str(folder / "out" / "catalogue")).sort_by("object_id")
    assert rows[CLUMP_COUNT].to_pylist() == [3, 0] * (GALAXIES // 2 + 1)
    assert here("verify", "out", cwd=folder).returncode == 0


def test_what_cannot_be_used_is_said_before_anything_is_done(tmp_path: Path) -> None:
    write_clumpy(tmp_path / "cutouts", 2)
    absent = here("detect", "input=cutouts", "output=out", "clump_weights=none.safetensors", cwd=tmp_path)
    assert absent.returncode == 2
    assert "there are no weights" in absent.stderr
    network = here("detect", "input=cutouts", "output=out", "clump_weights=compact", cwd=tmp_path)
    assert network.returncode == 2
    assert len(network.stderr.splitlines()) == 1
    off = here("detect", "input=cutouts", "output=out", "clumps=false", cwd=tmp_path)
    assert off.returncode == 2
    assert not (tmp_path / "out").exists()
