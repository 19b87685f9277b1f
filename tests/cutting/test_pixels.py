"""Pixels of cutouts are those of astropy's ``Cutout2D``, on whatever grid, at whatever position and size."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.cutting.cutting import _cut_tile, _Neighbours, cut
from pipeline.cutting.light import Light, Miss
from pipeline.cutting.settings import TileSettings, TileSurvey, tile_survey
from pipeline.cutting.tiles import Tile
from pipeline.images import BandImages, color_picture, stack_bands
from tests.support.survey_tiles import BANDS, SCALE, Sky, survey_file, wcs_at, write_band

WIDTH, HEIGHT = 90, 70


def survey_of(folder: Path, **changes: object) -> TileSurvey:
    survey = str(survey_file(folder, **changes))
    return tile_survey(survey, TileSettings(files="{tile}-{band}.fits"))


def noise(seed: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.2, shape).astype(np.float32)


def tile_of(folder: Path, name: str, wcs: WCS, seed: int = 0, compressed: bool = False) -> Tile:
    files = {}
    for number, band in enumerate(BANDS):
        path = folder / f"{name}-{band}{'.fits.fz' if compressed else '.fits'}"
        files[band] = str(write_band(path, noise(seed + number), wcs, compressed))
    return Tile(name, files)


def item(
    ra: float, dec: float, pixels: float, neighbours: tuple[int, ...] = (), row: int = 0
) -> dict[str, Any]:
    names = {"row": row, "object_id": f"g{row}", "ra": ra, "dec": dec, "frame_pixels": pixels}
    return names | {"tile": 0, "neighbours": list(neighbours)}


def light_of(objects: list[dict[str, Any]], tile: Tile, survey: TileSurvey) -> list[Light]:
    with contextlib.ExitStack() as stack:
        cuts = list(_cut_tile(objects, tile, survey, _Neighbours({}, survey, stack)))
    assert all(isinstance(found, Light) for found in cuts), cuts
    return sorted(
        (found for found in cuts if isinstance(found, Light)), key=lambda light: light.item["object_id"]
    )


def on_an_edge(value: float) -> bool:
    """Whether rounding decides which pixel a frame begins with."""
    return abs(value - round(value)) < 1e-6


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    ra=st.floats(0, 360),
    dec=st.floats(-85, 85),
    angle=st.floats(0, 360),
    flip=st.booleans(),
    scale=st.floats(0.05, 2),
    crpix=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    x=st.floats(12, WIDTH - 13),
    y=st.floats(12, HEIGHT - 13),
    side=st.floats(8, 24),
    compressed=st.booleans(),
)
def test_pixels_are_those_of_cutout2d(
    tmp_path_factory: pytest.TempPathFactory, ra, dec, angle, flip, scale, crpix, x, y, side, compressed
) -> None:
    whole = int(np.ceil(side - 1e-3))
    assume(not on_an_edge(x - whole / 2) and not on_an_edge(y - whole / 2) and not on_an_edge(side - 1e-3))
    folder = tmp_path_factory.mktemp("tile")
    wcs = wcs_at(ra, dec, crpix, angle, scale, flip)
    tile, survey = tile_of(folder, "a", wcs, compressed=compressed), survey_of(folder)
    sky = wcs.pixel_to_world(x, y)
    (light,) = light_of([item(float(sky.ra.deg), float(sky.dec.deg), side)], tile, survey)
    for number, band in enumerate(BANDS):
        expected = Cutout2D(noise(number), sky, whole, wcs=wcs, mode="partial")
        assert np.array_equal(light.flux[BANDS[number]], expected.data), band
    center = expected.to_cutout_position((x, y))
    assert light.center == pytest.approx(center, abs=1e-4)
    assert light.assembly == "cropped"


def test_the_picture_is_that_of_the_survey_file(tmp_path: Path) -> None:
    wcs = wcs_at(10, 20, (40, 30), 30)
    tile, survey = tile_of(tmp_path, "a", wcs), survey_of(tmp_path)
    places = [wcs.pixel_to_world(x, 35) for x in (20.3, 40.0, 61.7)]
    objects = [item(float(p.ra.deg), float(p.dec.deg), 24.0 + n, row=n) for n, p in enumerate(places)]
    rows = {row["object_id"]: row for row in cut(objects, {0: tile}, survey) if not isinstance(row, Miss)}
    for n, place in enumerate(places):
        flux = {b: Cutout2D(noise(i), place, 24 + n, wcs=wcs).data for i, b in enumerate(BANDS)}
        light, _ = stack_bands(BandImages(flux), BANDS, 0.1)
        expected = color_picture(light, survey.color)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(rows[f"g{n}"]["image"]))), expected)


@pytest.mark.parametrize("x", [WIDTH - 6.2, WIDTH - 0.6, WIDTH + 3.3])
def test_a_frame_over_the_border_is_joined_of_tiles_on_the_same_pixels(tmp_path: Path, x: float) -> None:
    """The two images are halves of one, of which the cutout is expected."""
    whole = wcs_at(120, -30, (100, 30), 75)
    pixels = noise(0, (HEIGHT, 2 * WIDTH))
    tiles = {}
    for number in range(2):
        wcs = wcs_at(120, -30, (100 - number * WIDTH, 30), 75)
        part = pixels[:, number * WIDTH : (number + 1) * WIDTH]
        files = {band: str(write_band(tmp_path / f"{number}-{band}.fits", part, wcs)) for band in BANDS}
        tiles[number] = Tile(str(number), files)
    sky = whole.pixel_to_world(x, 33.4)
    survey = survey_of(tmp_path)
    (row,) = cut([item(float(sky.ra.deg), float(sky.dec.deg), 21, (1,))], tiles, survey)
    assert not isinstance(row, Miss)
    flux = Cutout2D(pixels, sky, 21, wcs=whole).data
    light, _ = stack_bands(BandImages(dict.fromkeys(BANDS, flux)), BANDS, 0)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(row["image"]))), color_picture(light, survey.color)
    )
    assert (row["assembly"], row["masked"]) == ("joined", 0)


def test_a_frame_over_the_border_is_resampled_of_a_tile_on_other_pixels(tmp_path: Path) -> None:
    """What is resampled is the sky that is seen: within a few hundredths of a smooth galaxy's peak."""
    sky = Sky(np.array([50.0]), np.array([10.0]))
    own, other = wcs_at(50, 10, (WIDTH - 5.0, 30)), wcs_at(50, 10, (12.3, 41.8), 33.0, 1.1 * SCALE)
    tiles = {}
    for number, wcs in enumerate((own, other)):
        files = {}
        for band in BANDS:
            pixels = sky.light(wcs, WIDTH, HEIGHT, band)
            files[band] = str(write_band(tmp_path / f"{number}-{band}.fits", pixels, wcs))
        tiles[number] = Tile(str(number), files)
    survey = survey_of(tmp_path)
    with contextlib.ExitStack() as stack:
        neighbours = _Neighbours(tiles, survey, stack)
        (found,) = _cut_tile([item(50, 10, 30, (1,))], tiles[0], survey, neighbours)
    assert isinstance(found, Light), found
    assert found.assembly == "resampled"
    middle = (found.center[0] + 1, found.center[1] + 1)
    expected = sky.light(wcs_at(50, 10, middle), 30, 30, "z")
    assert found.flux[BANDS[0]] == pytest.approx(expected, abs=0.03 * float(expected.max()))


def test_bands_on_grids_of_their_own_are_brought_onto_the_first(tmp_path: Path) -> None:
    """As SDSS's frames are: a band's galaxy stands where that of the others does."""
    sky = Sky(np.array([50.0]), np.array([10.0]))
    files = {}
    for band, shift in zip(BANDS, (0.0, 3.4, -7.7), strict=True):
        wcs = wcs_at(50, 10, (40 + shift, 30 - shift / 2))
        files[band] = str(write_band(tmp_path / f"a-{band}.fits", sky.light(wcs, WIDTH, HEIGHT, band), wcs))
    (light,) = light_of([item(50, 10, 40)], Tile("a", files), survey_of(tmp_path))
    assert light.assembly == "resampled"
    y, x = np.mgrid[:40, :40]
    for number in range(3):
        weight = light.flux[BANDS[number]] - light.flux[BANDS[number]].min()
        middle = (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()
        assert middle == pytest.approx(light.center, abs=0.05)


def test_a_wcs_in_galactic_coordinates_is_cut_where_the_sky_is(tmp_path: Path) -> None:
    wcs = wcs_at(100, 40, (40, 30))
    wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    wcs.wcs.radesys = ""
    tile, survey = tile_of(tmp_path, "a", wcs), survey_of(tmp_path)
    place = SkyCoord(wcs.pixel_to_world(33.3, 40.8)).icrs
    (light,) = light_of([item(float(place.ra.deg), float(place.dec.deg), 20)], tile, survey)
    expected = Cutout2D(noise(0), place.galactic, 20, wcs=wcs)
    assert np.array_equal(light.flux[BANDS[0]], expected.data)
