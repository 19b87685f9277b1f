"""Where a galaxy's frame lies, and what it is on the sky, as the survey file says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.survey import open_source
from pipeline.survey.develop import develop
from tests.support.forms import BANDS, COLOR, Sky, fits_file, sky_header, survey, write_fits, write_multimodal
from tests.support.galaxies import png

SIDE = 160


def disk(x: float, y: float, length: float, seed: int = 1) -> Sky:
    """A round exponential disk of a scale length in pixels, with faint noise."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    light = np.exp(-np.hypot(columns - x, rows - y) / length)
    noise = np.random.default_rng(seed).normal(0, 0.005, (3, SIDE, SIDE))
    return Sky("one", 150.0, 2.0, (light + noise).astype(np.float32))


def row_of(folder, write, sky, **settings):
    folder.mkdir(exist_ok=True)
    found = write(folder, [sky])
    source = open_source(survey(**({"format": "fits", **found} | settings)))
    (shard,) = source.list_shards(str(folder))
    (row,) = decode_unit(WorkUnit(0, shard.uri, 0, 1), source=source).to_pylist()
    return row


DETECTION = {"threshold": 3, "background_pixels": 160}


@pytest.mark.parametrize(
    ("length", "measured", "radii", "lengths"),
    [(3.0, True, 8.48, 3.8), (5.0, True, 8.48, 3.8), (4.0, "half_light", 12.7, 1.66)],
)
def test_a_measured_frame_is_as_wide_as_the_disk_is_large(tmp_path, length, measured, radii, lengths):
    """A disk has 90 % of its light within 3.89 scale lengths, half within 1.68; Petrosian flux lacks 1 %."""
    sky = disk(80, 79, length)
    row = row_of(tmp_path, write_fits, sky, frame={"measured": measured}, detection=DETECTION)
    radius = row["scale"] * 424 / radii
    assert radius == pytest.approx(lengths * length, rel=0.06)


def test_recentring_moves_the_frame_onto_the_source(tmp_path):
    sky = disk(92.3, 71.8, 4.0)
    plain = row_of(tmp_path, write_fits, sky, frame={"arcsec": 20.0})
    moved = row_of(tmp_path, write_fits, sky, frame={"arcsec": 20.0}, recentre=True, detection=DETECTION)
    assert plain["scale"] == moved["scale"] == pytest.approx(20 / 0.4 / 424)
    # The regions begin at whole pixels: what is compared is the light at the centre.
    for row, bright in ((plain, False), (moved, True)):
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(row["side"], row["side"], 3).astype(int)
        x, y = row["center_x"], row["center_y"]
        light = pixels.sum(axis=-1)
        peak_y, peak_x = np.argwhere(light > 0.9 * light.max()).mean(axis=0)
        assert bool(np.hypot(peak_x - x, peak_y - y) < 1) is bright
    assert moved["center_x"] % 1 == pytest.approx(0.3, abs=0.1)
    assert moved["center_y"] % 1 == pytest.approx(0.8, abs=0.1)


def test_without_any_source_a_measured_frame_is_refused_and_recentring_changes_nothing(tmp_path):
    empty = disk(1e6, 1e6, 1.0)
    row = row_of(tmp_path, write_fits, empty, frame={"measured": True})
    assert row["reason"] == "no_source"
    still = row_of(tmp_path, write_fits, empty, recentre=True)
    assert still["reason"] is None
    assert still["center_x"] % 1 == 0.5


def test_how_the_sky_lies_in_a_picture_is_told_by_its_coordinates_else_by_the_survey_file(tmp_path):
    sky = disk(80, 80, 4.0)
    folder = tmp_path / "fits"
    own = row_of(folder, write_fits, sky, pixel_scale=1.0)["axes"]
    assert own == pytest.approx([-0.4, 0, 0, 0.4], abs=1e-5)
    bands = row_of(tmp_path / "bands", write_multimodal, sky, format="multimodal", pixel_scale=0.5)
    assert bands["axes"] == [-0.5, 0, 0, -0.5]
    assert row_of(tmp_path / "bands", write_multimodal, sky, format="multimodal")["axes"] is None

    source = open_source(survey(format="fits", **write_fits(folder, [sky])))
    (shard,) = source.list_shards(str(folder))
    placed = source.read_rows(shard.uri, 0, 1).cutout(0) | {"ra": 150.0, "dec": 2.0}
    assert develop(placed, source).axes is None
    assert develop(placed, source, axes=True).axes == pytest.approx(own)


def test_the_datas_own_pixel_scale_goes_before_the_survey_files(tmp_path):
    sky = disk(80, 80, 4.0)
    frame = {"arcsec": 30.0}
    fits_row = row_of(tmp_path / "a", write_fits, sky, frame=frame, pixel_scale=1.0)
    bands_row = row_of(tmp_path / "b", write_multimodal, sky, frame=frame, format="multimodal")
    assert [fits_row["scale"], bands_row["scale"]] == pytest.approx([30 / 0.4 / 424] * 2)

    def write_bare(folder, skies):
        hdus = [fits_image(skies[0], band) for band in range(3)]
        (folder / "one.fits").write_bytes(fits_file(hdus))
        return {}

    bare = row_of(tmp_path / "c", write_bare, sky, frame=frame, pixel_scale=0.5)
    assert bare["scale"] == pytest.approx(30 / 0.5 / 424)
    assert bare["ra"] is None
    untold = row_of(tmp_path / "c", write_bare, sky, frame=frame)
    assert untold["reason"] == "no_pixel_scale"


def fits_image(sky: Sky, number: int):
    from astropy.io import fits

    return (fits.ImageHDU if number else fits.PrimaryHDU)(
        sky.flux[number], fits.Header([("FILTER", BANDS[number])])
    )


def test_a_radius_may_be_in_pixels_or_arcseconds_and_must_be_one(tmp_path):
    values = [12.0, 6.0, 0.0, -1.0, np.nan, np.inf, None]
    pictures = [png(disk(80, 80, 4.0).picture)] * len(values)
    table = pa.table(
        {"object_id": list("abcdefg"), "image": pictures, "r90": values, "frame_pixels": [7.0] * len(values)}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    uri = str(tmp_path / "a.parquet")

    def decoded(**settings):
        source = open_source(survey(format="parquet", **settings))
        return decode_unit(WorkUnit(0, uri, 0, len(values)), source=source).to_pylist()

    pixels = decoded(frame={"column": "r90", "unit": "pixel", "factor": 2})
    assert [row["reason"] for row in pixels] == [None, None, *["bad_frame"] * 5]
    assert pixels[0]["scale"] == pytest.approx(24 / 424)
    arcsec = decoded(frame={"column": "r90"}, pixel_scale=0.4)
    assert arcsec[1]["scale"] == pytest.approx(6 * 8.48 / 0.4 / 424)
    assert decoded(frame={"column": "r90"})[0]["reason"] == "no_pixel_scale"
    assert decoded()[0]["scale"] == pytest.approx(7 / 424)  # without `frame`, as in a cutout table


def test_the_position_is_the_columns_or_else_that_of_the_images_middle(tmp_path):
    sky = disk(80, 80, 4.0)
    header = sky_header(sky)
    assert header["CRPIX1"] == (SIDE + 1) / 2
    row = row_of(tmp_path / "in", write_fits, sky)
    assert (row["ra"], row["dec"]) == pytest.approx((150, 2), abs=1e-9)
    (tmp_path / "more.csv").write_text("object_id,ra,dec\none,10.5,-3.25\n")
    told = row_of(tmp_path / "in", write_fits, sky, table=str(tmp_path / "more.csv"))
    assert (told["ra"], told["dec"]) == (10.5, -3.25)


def test_the_colours_are_those_of_the_survey_file(tmp_path):
    sky = disk(80, 80, 4.0)
    write_fits(tmp_path, [sky])
    uri = str(tmp_path)
    pictures = []
    for scales in (COLOR["scales"], [2.5, 1.5, 1.0]):
        source = open_source(survey(format="fits", color=COLOR | {"scales": scales}))
        (shard,) = source.list_shards(uri)
        pictures.append(develop(source.read_rows(shard.uri, 0, 1).cutout(0), source).pixels)
    np.testing.assert_array_equal(pictures[0], sky.picture)
    assert (pictures[1] != sky.picture).any()
