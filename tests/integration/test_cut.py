"""`tuningfork cut` on a cluster of Ray's: the same set as without one, and nothing to do the second time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.command import tuningfork_here as tuningfork
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import Sky, survey_file, tile_grid, write_table


def test_a_cluster_cuts_what_one_process_does(tmp_path: Path) -> None:
    ra, dec = np.random.default_rng(2).uniform(-0.012, 0.012, (2, 150)) + np.array([[150], [2]])
    tile_grid(tmp_path / "tiles", Sky(ra, dec), 150, 2, 2, 160, 150)
    survey = survey_file(tmp_path)
    table = write_table(tmp_path / "positions.csv", [f"g{i}" for i in range(150)], ra, dec)
    settings = {"positions": table, "tiles": tmp_path / "tiles", "survey": survey}
    words = ["files=sky-{tile}-{band}.fits", *(f"{name}={value}" for name, value in settings.items())]
    done = tuningfork("cut", *words, f"output={tmp_path / 'out'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cutouts of 150 positions" in done.stdout
    cut_here("files=sky-{tile}-{band}.fits", output=tmp_path / "here", **settings)
    files = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()}
    for file in files:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "here" / file).read_bytes(), file
    again = tuningfork("cut", *words, f"output={tmp_path / 'out'}", cwd=tmp_path)
    assert "nothing to do" in again.stdout
    bad = tuningfork("cut", *words, f"output={tmp_path / 'other'}", "frame.measured=true", cwd=tmp_path)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
