"""Whole cuts: each position once, over borders and outside, stopped and continued, from damaged tiles."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from pipeline.cutouts import list_shards, read_survey
from pipeline.errors import InputError
from pipeline.survey import open_source
from pipeline.survey.develop import develop
from tests.support.command import ROOT
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import (
    BANDS,
    SCALE,
    Sky,
    survey_file,
    tile_grid,
    wcs_at,
    write_band,
    write_table,
)

FILES = "files=sky-{tile}-{band}.fits"
SIDE, SIZE, STEP = 3, 160, 150
OBJECTS = 240


@dataclass(frozen=True)
class Scene:
    """Tiles, a table of positions some of which lie outside, and where the objects are in the whole field."""

    folder: Path
    x: np.ndarray
    y: np.ndarray

    def words(self, output: Path, **changes: object) -> list[str]:
        values = {
            "positions": self.folder / "positions.csv",
            "tiles": self.folder / "tiles",
            "survey": self.folder / "survey.yaml",
            "output": output,
        }
        return [FILES, *(f"{name}={value}" for name, value in (values | changes).items())]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    rng = np.random.default_rng(5)
    whole = wcs_at(150, 2, (STEP * SIDE / 2, STEP * SIDE / 2), 20)
    x, y = rng.uniform(-25, STEP * SIDE + 30, (2, OBJECTS))
    ra, dec = whole.all_pix2world(x, y, 0)
    tile_grid(folder / "tiles", Sky(ra, dec), 150, 2, SIDE, SIZE, STEP, angle=20)
    write_table(folder / "positions.csv", [f"g{i}" for i in range(OBJECTS)], ra, dec)
    survey_file(folder)
    return Scene(folder, x, y)


def rows_of(output: Path) -> dict[str, dict]:
    """Rows of a cutout set by id; none may be twice."""
    read = [pq.read_table(shard.uri).to_pylist() for shard in list_shards(str(output))]
    rows = [row for shard in read for row in shard]
    by_id = {row["object_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def misses_of(output: Path) -> dict[str, str]:
    """Reasons by id."""
    return told_of(output, "reason")


def messages_of(output: Path) -> dict[str, str]:
    return told_of(output, "message")


def told_of(output: Path, column: str) -> dict[str, str]:
    """A column of the misses by id; none may be twice."""
    with (output / "misses.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = {row["object_id"]: row[column] for row in rows}
    assert len(told) == len(rows)
    return told


def contents(output: Path) -> dict[str, bytes]:
    return {str(p.relative_to(output)): p.read_bytes() for p in sorted(output.rglob("*")) if p.is_file()}


def test_every_position_is_a_cutout_or_a_miss_and_none_is_lost_over_borders(
    scene: Scene, tmp_path: Path
) -> None:
    survey = cut_here(*scene.words(tmp_path / "out"))
    rows, misses = rows_of(tmp_path / "out"), misses_of(tmp_path / "out")
    assert rows.keys() | misses.keys() == {f"g{i}" for i in range(OBJECTS)}
    assert not rows.keys() & misses.keys()
    end = STEP * (SIDE - 1) + SIZE
    for number in range(OBJECTS):
        left = np.ceil(scene.x[number] - 12), np.ceil(scene.y[number] - 12)
        whole = all(corner >= 0 and corner + 24 <= end for corner in left)
        if whole:
            assert f"g{number}" in rows
        inside = np.prod([max(min(c + 24, end) - max(c, 0), 0) for c in left]) / 24**2
        assert (f"g{number}" in rows) == (inside >= 0.9), (number, inside)
    assert {row["assembly"] for row in rows.values()} == {"cropped", "joined"}
    assert survey.counts == {"positions": OBJECTS, "missed_outside": len(misses)}
    assert set(misses.values()) == {"outside"}


def test_classify_reads_what_is_cut(scene: Scene, tmp_path: Path) -> None:
    cut_here(*scene.words(tmp_path / "out"))
    source = open_source(None, str(tmp_path / "out"))
    (shard, *_) = source.list_shards(str(tmp_path / "out"))
    for cutout in source.read_rows(shard.uri, 0, shard.rows).cutouts():
        galaxy = develop(cutout, source)
        assert galaxy.pixels.shape == (24, 24, 3)
        assert galaxy.frame_pixels == pytest.approx(24)
        assert galaxy.center == pytest.approx((11.5, 11.5), abs=0.51)


def test_a_cut_that_is_there_is_left_as_it_is_and_another_is_refused(scene: Scene, tmp_path: Path) -> None:
    cut_here(*scene.words(tmp_path / "out"))
    before = contents(tmp_path / "out")
    cut_here(*scene.words(tmp_path / "out"))
    assert contents(tmp_path / "out") == before
    other = write_table(tmp_path / "other.csv", ["a"], [150.0], [2.0])
    with pytest.raises(InputError, match="with another positions"):
        cut_here(*scene.words(tmp_path / "out", positions=other))
    with pytest.raises(InputError, match="with another survey"):
        cut_here(*scene.words(tmp_path / "out"), "frame.arcsec=5")


def test_a_cut_killed_at_any_unit_goes_on_to_the_same_bytes(scene: Scene, tmp_path: Path) -> None:
    """SIGKILL when the first unit is done, then when the third is; the same command ends it."""
    cut_here(*scene.words(tmp_path / "whole"))
    output = tmp_path / "out"
    for done in ("unit-00000.json", "unit-00002.json"):
        with start(scene, output) as process:
            while not (output / "_cut" / done).exists() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        assert read_survey(str(output)) is None
        with pytest.raises(InputError, match="was cut short"):
            list_shards(str(output))
    with start(scene, output) as process:
        assert process.wait() == 0
    assert contents(output) == contents(tmp_path / "whole")


def test_two_at_once_make_one_set(scene: Scene, tmp_path: Path) -> None:
    with start(scene, tmp_path / "out") as one, start(scene, tmp_path / "out") as other:
        assert (one.wait(), other.wait()) == (0, 0)
    cut_here(*scene.words(tmp_path / "whole"))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def start(scene: Scene, output: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.cut_here", *scene.words(output)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


def test_masked_pixels_are_filled_and_counted(tmp_path: Path) -> None:
    """A hole of 4 × 6 pixels in a mask's plane, a plane that doesn't count, one pixel without variance."""
    wcs = wcs_at(10, 5, (50, 50))
    for band in BANDS:
        flux = Sky(np.array([10.0]), np.array([5.0])).light(wcs, 100, 100, band)
        mask = np.zeros((100, 100), np.int32)
        mask[40:44, 45:51] |= 1 << 3
        mask[:, :] |= 1 << 1
        variance = np.ones((100, 100), np.float32)
        variance[55, 55] = np.nan
        flux[40:44, 45:51] = 1e6
        header = wcs.to_header()
        plane = fits.ImageHDU(mask, fits.Header({"MP_BAD": 3, "MP_FINE": 1}), name="MASK")
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(flux, header, name="IMAGE"), plane]
        fits.HDUList([*hdus, fits.ImageHDU(variance, name="VARIANCE")]).writeto(tmp_path / f"a_{band}.fits")
    survey = survey_file(tmp_path, extension="IMAGE", mask={"name": "MASK", "planes": ["BAD"]})
    table = write_table(tmp_path / "p.csv", ["a", "b"], [10.0, 10.0], [5.0, 5.0 + 22 * SCALE / 3600])
    words = ("files={tile}_{band}.fits", "variance=VARIANCE")
    cut_here(*words, positions=table, tiles=tmp_path, survey=survey, output=tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert rows["a"]["masked"] == pytest.approx((4 * 6 + 1) / 24**2)
    assert rows["b"]["masked"] == 0
    bare = survey_file(tmp_path, extension="IMAGE", mask={"name": "MASK", "planes": ["FINE"]})
    with pytest.raises(InputError, match="with another survey"):
        cut_here(*words, positions=table, tiles=tmp_path, survey=bare, output=tmp_path / "out")
    cut_here(*words, positions=table, tiles=tmp_path, survey=bare, output=tmp_path / "all_bad")
    assert misses_of(tmp_path / "all_bad") == {"a": "bad_pixels", "b": "bad_pixels"}


def test_what_is_wrong_with_some_tiles_is_told_and_the_others_are_cut(scene: Scene, tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    sky = Sky(np.array([150.0]), np.array([2.0]))
    places = {
        name: 150 + 0.05 * number
        for number, name in enumerate(["good", "short", "bare", "torn", "shape", "less"])
    }
    for name, ra in places.items():
        for band in BANDS:
            if (name, band) == ("less", "g"):
                continue
            wcs = wcs_at(ra, 2, (50, 50))
            path = tiles / f"sky-{name}-{band}.fits"
            side = 50 if (name, band) == ("shape", "g") else 100
            write_band(path, sky.light(wcs, side, side, band), None if name == "bare" else wcs)
    cut_file(tiles / "sky-short-r.fits", 20_000)
    cut_file(tiles / "sky-torn-z.fits", 100)
    cut = {
        "positions": write_table(tmp_path / "p.csv", list(places), list(places.values()), [2.0] * len(places))
    }
    words = {"tiles": tiles, "survey": survey_file(tmp_path), "output": tmp_path / "out"}
    cut_here(FILES, **cut, **words)
    assert rows_of(tmp_path / "out").keys() == {"good"}
    misses = misses_of(tmp_path / "out")
    assert misses == {
        "short": "damaged_tile",
        "bare": "outside",
        "torn": "outside",
        "shape": "bad_pixels",
        "less": "missing_band",
    }
    message = messages_of(tmp_path / "out")["short"]
    assert "sky-short-r.fits of tile 'short': the file is cut short: it has 20,000 bytes" in message
    assert message.endswith("its header tells of 45,760; download it again")
    (index,) = (tmp_path / "out" / "_cut").glob("tiles-*.parquet")
    told = pq.read_table(index).select(["tile", "problem"]).to_pylist()
    problems = {row["tile"]: row["problem"] for row in told if row["problem"]}
    assert problems == {"bare": "no_wcs", "torn": "damaged_tile", "less": "missing_band"}


def cut_file(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiles": "{empty}"}, "holds no FITS file"),
        ({"positions": "{empty}/none.csv"}, "none.csv"),
        ({"survey": "hubble"}, "frame.arcsec=WIDTH"),
    ],
)
def test_what_cannot_be_cut_is_one_clear_error(
    scene: Scene, tmp_path: Path, changes: dict, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    filled = {key: value.replace("{empty}", str(tmp_path / "empty")) for key, value in changes.items()}
    with pytest.raises(InputError, match=message):
        cut_here(*scene.words(tmp_path / "out", **filled))
    assert not (tmp_path / "out" / "survey.json").exists()


def test_positions_far_from_all_tiles_are_refused_and_tiles_of_another_name_too(
    scene: Scene, tmp_path: Path
) -> None:
    far = write_table(tmp_path / "far.csv", ["a"], [10.0], [2.0])
    with pytest.raises(InputError, match="none of the 1 positions can be cut"):
        cut_here(*scene.words(tmp_path / "out", positions=far))
    with pytest.raises(InputError, match="is named as"):
        cut_here(*scene.words(tmp_path / "other", files="frame-{band}-{tile}.fits"))
    with pytest.raises(InputError, match=r"expected one \{tile\}"):
        cut_here(*scene.words(tmp_path / "other", files="frame-{band}.fits"))


def test_an_output_that_holds_something_else_is_refused(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        cut_here(*scene.words(tmp_path / "out"))


def test_one_tile_may_hold_all_bands_as_a_cube(tmp_path: Path) -> None:
    wcs = wcs_at(10, 5, (50, 50))
    sky = Sky(np.array([10.0]), np.array([5.0]))
    header = wcs.to_header()
    header["BANDS"] = "zrg"
    (tmp_path / "tiles").mkdir()
    cube = np.stack([sky.light(wcs, 100, 100, band) for band in BANDS])
    fits.writeto(tmp_path / "tiles" / "field.fits.gz", cube, header)
    table = write_table(tmp_path / "p.csv", ["a"], [10.0], [5.0], petroR90_r=[2.0])
    out = tmp_path / "out"
    cut_here(
        "frame.column=PetroR90_R",
        positions=table,
        tiles=tmp_path / "tiles",
        survey=survey_file(tmp_path),
        output=out,
    )
    assert rows_of(out)["a"]["frame_pixels"] == pytest.approx(2 * 8.48 / SCALE, rel=1e-4)
    assert rows_of(out)["a"]["tile"] == "field"
    assert pa.types.is_float32(pq.read_schema(next(iter(out.glob("*.parquet")))).field("masked").type)
