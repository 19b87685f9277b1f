"""A HiPS as tiles: what is cut is the sky itself, wherever HEALPix cells meet."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cdshealpix.nested
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image

from pipeline.cutouts import list_shards
from pipeline.cutting.cutting import cut_light
from pipeline.cutting.hips import pixel_scale, tangent_plane
from pipeline.cutting.index import read_tiles
from pipeline.cutting.light import Light
from pipeline.cutting.settings import CutConfig, tile_survey
from pipeline.cutting.source import TileSource
from pipeline.errors import InputError
from pipeline.faults import CRASH_AT
from pipeline.run.settings import StreamConfig
from pipeline.run.tiles import survey_of_tiles
from pipeline.streaming.sources import open_source
from pipeline.survey.develop import develop
from pipeline.tree import load_tree
from tests.faults.harness import running
from tests.support.command import tuningfork
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import BANDS, survey_file, write_table
from tests.support.tables import snapshot

ORDER, WIDTH = 13, 128
SCALE = pixel_scale(ORDER, WIDTH)
OBJECTS = 100
REACH = 25.0
"""Arcseconds from the middle of the field."""

FIELDS = {"within a base cell": (150.0, 2.0), "where three base cells meet": (90.0, 41.8103148957786)}


@dataclass(frozen=True)
class Sky:
    """Galaxies of Gaussian light, one at each position, whatever the pixels it is looked at on."""

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]

    def light(self, ra: NDArray[np.float64], dec: NDArray[np.float64], band: str) -> NDArray[np.float64]:
        rng = np.random.default_rng(1)
        result = np.full(ra.shape, 0.01 * (1 + BANDS.index(band)))
        for own_ra, own_dec in zip(self.ra, self.dec, strict=True):
            east = (ra - own_ra) * np.cos(np.radians(own_dec)) * 3600
            north = (dec - own_dec) * 3600
            a, b, turn = rng.uniform(1.2, 2), rng.uniform(0.6, 1.2), rng.uniform(0, np.pi)
            along, across = (
                east * np.cos(turn) + north * np.sin(turn),
                north * np.cos(turn) - east * np.sin(turn),
            )
            result += np.exp(-((along / a) ** 2 + (across / b) ** 2) / 2)
        return result


def tile_wcs(number: int) -> WCS:
    """The grid of a FITS tile, as the standard has it: a square of the HPX projection, turned by 45°."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---HPX", "DEC--HPX"]
    wcs.wcs.crval = [0, 0]
    step = 45 / WIDTH / 2**ORDER
    wcs.wcs.cd = [[-step, -step], [step, -step]]
    wcs.wcs.set_pv([(2, 1, 4), (2, 2, 3)])
    wcs.wcs.set()
    lon, lat = cdshealpix.nested.healpix_to_lonlat(np.array([number], np.uint64), ORDER)
    x, y = wcs.all_world2pix(lon.deg, lat.deg, 0)
    wcs.wcs.crpix = [(WIDTH - 1) / 2 - x[0], (WIDTH - 1) / 2 - y[0]]
    return wcs


def write_hips(folder: Path, sky: Sky, ra: float, dec: float) -> None:
    """A HiPS of each band of all cells around a place."""
    cells, _, _ = cdshealpix.cone_search(
        Longitude(ra, unit="deg"), Latitude(dec, unit="deg"), 1.3 * REACH / 3600 * DEGREE, ORDER, flat=True
    )
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(WIDTH))
    places = {number: tile_wcs(number).all_pix2world(columns, rows, 0) for number in cells.tolist()}
    for band in BANDS:
        of_band = folder / band
        of_band.mkdir(parents=True)
        (of_band / "properties").write_text(
            f"# a comment\nhips_order      = {ORDER}\nhips_tile_width = {WIDTH}\n"
            "hips_tile_format = png fits\nhips_frame = equatorial\n"
        )
        for number, (lon, lat) in places.items():
            path = of_band / f"Norder{ORDER}" / f"Dir{number // 10_000 * 10_000}" / f"Npix{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.writeto(path, sky.light(lon % 360, lat, band).astype(np.float32))


DEGREE = Longitude(1, unit="deg").unit


@pytest.fixture(params=list(FIELDS.values()), ids=list(FIELDS))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Sky]:
    ra, dec = request.param
    rng = np.random.default_rng(7)
    angle, distance = rng.uniform(0, 2 * np.pi, OBJECTS), REACH / 3600 * np.sqrt(rng.uniform(0, 1, OBJECTS))
    sky = Sky(ra + distance * np.cos(angle) / np.cos(np.radians(dec)), dec + distance * np.sin(angle))
    write_hips(tmp_path / "hips", sky, ra, dec)
    write_table(
        tmp_path / "positions.csv", [f"g{n}" for n in range(OBJECTS)], sky.ra.tolist(), sky.dec.tolist()
    )
    survey_file(tmp_path, frame={"arcsec": 24 * SCALE})
    return tmp_path, sky


def words_of(folder: Path, **changes: object) -> dict[str, str]:
    given = {
        "positions": folder / "positions.csv",
        "tiles": folder / "hips" / "{band}",
        "survey": folder / "survey.yaml",
        "output": folder / "out",
    }
    return {name: str(value) for name, value in (given | changes).items()}


def test_cutouts_are_the_sky_around_their_positions(scene: tuple[Path, Sky]) -> None:
    folder, sky = scene
    config = CutConfig.model_validate(words_of(folder))
    cut_here(**words_of(folder))
    survey = tile_survey(config.survey, config)
    (index,) = (folder / "out" / "_cut").glob("tiles-*.parquet")
    (plan,) = (folder / "out" / "_cut").glob("plan-*.parquet")
    objects = pq.read_table(plan).to_pylist()
    assert len(objects) == OBJECTS
    tiles = read_tiles(str(index), list(range(len(pq.read_table(index)))))
    worst = 0.0
    for light in cut_light(objects, tiles, survey):
        assert isinstance(light, Light)
        grid = tangent_plane(light.item["ra"], light.item["dec"], 24, SCALE)
        rows, columns = (axis.astype(np.float64) for axis in np.mgrid[:24, :24])
        ra, dec = grid.to_sky(columns, rows)
        for band in BANDS:
            truth, flux = sky.light(ra, dec, band), light.flux[band]
            # Linear between pixels; where HEALPix folds, between base cells, its own squares are bent.
            assert np.abs(flux - truth).max() < 0.05 * truth.max()
            moved = [np.abs(flux - np.roll(truth, shift, axis)).max() for axis in (0, 1) for shift in (-1, 1)]
            assert min(moved) > 2 * np.abs(flux - truth).max()
            worst = max(worst, centroid_distance(flux, truth))
    assert worst < 0.05


def test_a_run_reads_what_cut_writes(tmp_path: Path) -> None:
    ra, dec = FIELDS["within a base cell"]
    sky = Sky(np.array([ra, ra + 0.003, ra]), np.array([dec, dec, dec + 2]))
    write_hips(tmp_path / "hips", sky, ra, dec)
    write_table(tmp_path / "positions.csv", ["a", "b", "out"], sky.ra.tolist(), sky.dec.tolist())
    survey_file(tmp_path, frame={"arcsec": 24 * SCALE})
    cut_here(**words_of(tmp_path))
    (shard,) = list_shards(str(tmp_path / "out"))
    written = {row["object_id"]: row["image"] for row in pq.read_table(shard.uri).to_pylist()}
    config = StreamConfig.model_validate(words_of(tmp_path, output=tmp_path / "run"))
    source = TileSource(survey_of_tiles(config), cache=str(tmp_path / "kept"))
    shards = source.list_shards(str(config.tiles))
    source.save_index(str(tmp_path / "index"))
    assert TileSource(source.survey, cache=str(tmp_path / "kept")).list_shards(str(config.tiles)) == shards
    reader = open_source(source.survey, str(tmp_path / "index"))
    read: dict[str, NDArray[np.uint8]] = {}
    for one in shards:
        assert reader.describe(one.uri).etag == one.etag
        rows = reader.read_rows(one.uri, 0, one.rows)
        for offset, cutout in enumerate(rows.cutouts()):
            if offset not in rows.problems:
                picture = develop(cutout, reader, axes=True)
                read[cutout["object_id"]] = picture.pixels
                assert picture.axes == pytest.approx((-SCALE, 0, 0, SCALE), abs=1e-5)
    assert read.keys() == written.keys() == {"a", "b"}
    for name, pixels in read.items():
        assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(written[name]))))


@pytest.mark.long
def test_galaxies_are_classified_from_a_hips_as_from_their_cutouts(scene: tuple[Path, Sky]) -> None:
    folder, _ = scene
    options = ("transforms=1", "precision=float32", "unit_rows=16")
    tiles = ("classify", *(f"{name}={value}" for name, value in words_of(folder).items()), *options)
    with running(list(tiles), folder, {CRASH_AT: "after_part"}) as run:
        assert run.process.wait(300) == -9, run.text()
    done(*tiles, cwd=folder)
    done("verify", "out", cwd=folder)
    cut_here(**words_of(folder, output=folder / "cutouts"))
    done("classify", "input=cutouts", "output=other", *options, cwd=folder)
    names = ["object_id", *load_tree().columns]
    one, other = (
        snapshot(str(folder / name / "catalogue")).select(names).sort_by("object_id").to_pandas()
        for name in ("out", "other")
    )
    assert len(one) == OBJECTS
    pd.testing.assert_frame_equal(one, other, atol=1e-6)


def done(*words: str, cwd: Path) -> None:
    process = tuningfork(*words, cwd=cwd)
    assert process.returncode == 0, process.stderr


def centroid_distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    rows, columns = np.mgrid[: one.shape[0], : one.shape[1]]
    places = [
        np.array([(rows * light).sum(), (columns * light).sum()]) / light.sum() for light in (one, other)
    ]
    return float(np.hypot(*(places[0] - places[1])))


def test_what_lies_beyond_the_tiles_or_on_a_damaged_one_is_missed(tmp_path: Path) -> None:
    ra, dec = 150.0, 2.0
    sky = Sky(np.array([ra]), np.array([dec]))
    write_hips(tmp_path / "hips", sky, ra, dec)
    survey_file(tmp_path, frame={"arcsec": 24 * SCALE})
    write_table(tmp_path / "positions.csv", ["in", "out", "far"], [ra, ra, ra], [dec, dec + 2, -dec])
    cut_here(**words_of(tmp_path))
    assert misses_of(tmp_path / "out") == {"out": "outside", "far": "outside"}
    (own,) = list_shards(str(tmp_path / "out"))
    assert pq.read_table(own.uri)["object_id"].to_pylist() == ["in"]
    name = pq.read_table(own.uri)["tile"].to_pylist()[0]
    (path,) = (tmp_path / "hips" / "g").rglob(f"{name.rpartition('/')[2]}.fits")
    path.write_bytes(path.read_bytes()[:20_000])
    cut_here(**words_of(tmp_path, output=tmp_path / "again"))
    assert misses_of(tmp_path / "again")["in"] == "damaged_tile"


def misses_of(output: Path) -> dict[str, str]:
    with (output / "misses.csv").open() as file:
        return {row["object_id"]: row["reason"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fits", "jpeg"), "hips_tile_format = 'png jpeg'; expected fits"),
        (("equatorial", "galactic"), "hips_frame = 'galactic'; expected equatorial"),
        (("= 13", "= x"), "expected a whole number up to 17"),
        (("= 128", "= 100"), "expected a power of two"),
        (("= 13", "= 12"), "has no FITS tiles of its order 12"),
    ],
)
def test_a_hips_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    write_hips(tmp_path / "hips", Sky(np.array([150.0]), np.array([2.0])), 150, 2)
    survey_file(tmp_path)
    for band in BANDS:
        path = tmp_path / "hips" / band / "properties"
        path.write_text(path.read_text().replace(*change))
    write_table(tmp_path / "positions.csv", ["a"], [150.0], [2.0])
    with pytest.raises(InputError, match=message):
        cut_here(**words_of(tmp_path))


def test_one_band_alone_is_refused_for_a_picture_of_three(tmp_path: Path) -> None:
    write_hips(tmp_path / "hips", Sky(np.array([150.0]), np.array([2.0])), 150, 2)
    survey_file(tmp_path)
    write_table(tmp_path / "positions.csv", ["a"], [150.0], [2.0])
    with pytest.raises(InputError, match=r"put \{band\} where"):
        cut_here(**words_of(tmp_path, tiles=tmp_path / "hips" / "g"))
