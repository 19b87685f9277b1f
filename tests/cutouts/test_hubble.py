import io

import numpy as np
import pytest
from PIL import Image

from pipeline.config import load_config
from pipeline.cutouts import list_shards, read_field, read_rows, read_survey
from pipeline.cutouts.hubble import hubble_field, hubble_galaxies, linear_light
from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble
from pipeline.errors import InputError
from pipeline.geometry import reach
from pipeline.images import cut_region, decode_image
from pipeline.images.detection import DetectionCriteria


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    output = str(tmp_path_factory.mktemp("hubble") / "cutouts")
    done = []
    result = ingest_hubble(IngestHubbleConfig(output=output), progress=done.append)
    assert done == list(range(1, result.cutouts + 1))
    (shard,) = list_shards(output)
    return result, read_rows(shard.uri, 0, shard.rows).to_pylist()


def nearest(rows, x, y):
    return min(rows, key=lambda row: np.hypot(row["x"] - x, row["y"] - y))


def test_there_are_many_galaxies_each_with_its_name(ingested):
    result, rows = ingested
    assert result.created
    assert 80 <= result.cutouts == len(rows) <= 200
    assert len({row["object_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["object_id"] == f"hdf-{round(row['x']):04d}-{round(row['y']):04d}"
        assert row["ra"] is None
        assert row["dec"] is None
        assert row["frame_pixels"] == pytest.approx(8.48 * row["radius"])


@pytest.mark.parametrize(
    ("x", "y", "least", "most"),
    [
        (123, 401, 13, 22),  # the face-on spiral
        (727, 473, 12, 24),  # the largest elliptical
        (291, 108, 10, 20),  # the red elliptical
        (580, 406, 8, 14),  # an edge-on disk
        (41, 761, 8, 15),  # another
        (405, 74, 10, 18),  # a blue irregular
        (446, 150, 8, 15),  # the largest of an interacting group
        (811, 609, 7, 13),  # a small face-on spiral
    ],
)
def test_known_galaxies_are_there_with_sound_radii(ingested, x, y, least, most):
    row = nearest(ingested[1], x, y)
    assert np.hypot(row["x"] - x, row["y"] - y) < 2.5
    assert least < row["radius"] < most


def test_the_face_on_spiral_is_one(ingested):
    within = [row for row in ingested[1] if np.hypot(row["x"] - 123, row["y"] - 401) < 22]
    assert len(within) == 1


@pytest.mark.parametrize(("x", "y"), [(754, 578), (253, 166), (146, 218)])
def test_stars_with_spikes_are_not_there(ingested, x, y):
    row = nearest(ingested[1], x, y)
    assert np.hypot(row["x"] - x, row["y"] - y) > 8


def test_cutouts_are_the_fields_own_pixels(ingested):
    field = hubble_field()
    for row in ingested[1]:
        pixels = decode_image(row["image"])
        left, top = row["x"] - row["center_x"], row["y"] - row["center_y"]
        assert left == pytest.approx(round(left), abs=1e-9)
        left, top = round(left), round(top)
        height, width = pixels.shape[:2]
        np.testing.assert_array_equal(pixels, field[top : top + height, left : left + width])
        half = row["frame_pixels"] / 2
        assert left <= max(row["x"] - half, 0) + 1
        assert left + width - 1 >= min(row["x"] + half, field.shape[1] - 1) - 1
        assert width <= row["frame_pixels"] + 2
        cut_region(pixels, reach(1 / 1.2), (row["center_x"], row["center_y"]), row["frame_pixels"])


def test_the_field_is_kept(ingested):
    field = read_field(ingested[0].output)
    assert field is not None
    stored = np.asarray(Image.open(io.BytesIO(field)))
    np.testing.assert_array_equal(stored, hubble_field())


def test_the_second_run_does_nothing(ingested):
    result, rows = ingested
    before = list_shards(result.output)
    again = ingest_hubble(
        IngestHubbleConfig(output=result.output), progress=lambda count: pytest.fail(str(count))
    )
    assert not again.created
    assert again.summary == f"{result.output}: already there, {len(rows)} cutouts, nothing to do"
    assert list_shards(result.output) == before


def test_other_criteria_are_refused_where_a_set_is(ingested):
    config = load_config(
        IngestHubbleConfig, overrides=[f"output={ingested[0].output}", "criteria.minimum_radius=8"]
    )
    with pytest.raises(InputError, match="with another minimum_radius; choose another output"):
        ingest_hubble(config)


def test_criteria_that_nothing_meets(tmp_path):
    config = IngestHubbleConfig(
        output=str(tmp_path / "out"), criteria=DetectionCriteria(minimum_radius=500, threshold=10)
    )
    with pytest.raises(InputError, match="no galaxy meets the criteria"):
        ingest_hubble(config)
    assert not (tmp_path / "out").exists()


def test_the_manifest_says_how_it_was_made(ingested):
    result, rows = ingested
    survey = read_survey(result.output)
    assert survey is not None
    assert survey.cutouts == len(rows)
    assert survey.criteria == DetectionCriteria().model_dump()
    assert survey.counts["dropped_spikes"] >= 3


def test_detection_is_deterministic(ingested):
    galaxies, _ = hubble_galaxies(hubble_field(), DetectionCriteria())
    assert [(g.x, g.y, g.radius) for g in galaxies] == [(r["x"], r["y"], r["radius"]) for r in ingested[1]]


def test_linear_light():
    light = linear_light(np.array([[0, 10, 128, 255]], np.uint8))
    np.testing.assert_allclose(light, [[0, 0.774, 55.04, 255]], rtol=1e-3)
