"""Answers for pictures in memory are those that `classify` gives."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from astropy.nddata import Cutout2D
from numpy.testing import assert_array_equal
from PIL import Image

from pipeline import Classifier
from pipeline.catalogue import catalogue_rows
from pipeline.errors import InputError
from pipeline.images import ColorMapping, color_picture, decode_image
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.survey.settings import SurveySettings
from pipeline.tree import GALAXY_ZOO_2
from tests.support.galaxies import galaxy, png

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(transforms=1, precision="float32")


@pytest.fixture(scope="module")
def of_fluxes() -> Classifier:
    """One for a survey of fluxes in three bands."""
    color = ColorMapping(bands=("i", "r", "g"), stretch=50.0, Q=4.0)
    return Classifier(transforms=1, survey=SurveySettings(name="Mine", color=color))


def answers(table: pd.DataFrame, classifier: Classifier) -> np.ndarray:
    return table[list(classifier.tree.columns)].to_numpy()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [galaxy(seed, 96) for seed in range(3)]


def test_hubble_galaxies_get_bit_for_bit_what_the_stages_of_classify_give(hubble_shard: Path) -> None:
    rows = pq.read_table(hubble_shard).slice(0, 2).to_pylist()
    decoded = decode_unit(WorkUnit(0, str(hubble_shard), 0, len(rows)))
    answered = ModelActor(DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), 60, "float32", torch.get_num_threads())(decoded)

    classifier = Classifier(precision="float32")
    table = classifier.predict(
        [decode_image(row["image"]) for row in rows],
        radius=[row["radius"] for row in rows],
        center=[(row["center_x"], row["center_y"]) for row in rows],
    )
    assert_array_equal(
        answers(table, classifier), np.array(answered["probabilities"].to_pylist(), np.float32)
    )
    expected = catalogue_rows(classifier.tree, decoded, answers(table, classifier), "", "", [""] * len(rows))
    assert set(table.columns) == set(expected.column_names) - {
        *("object_id", "ra", "dec", "run", "weights", "input", "content", "stale")
    }
    assert table["bar_answer"].isna().tolist() == expected["bar_answer"].is_null().to_pylist()
    assert table["smooth_or_featured_answer"].tolist() == expected["smooth_or_featured_answer"].to_pylist()


def test_a_picture_may_be_an_array_a_file_bytes_or_pils(
    classifier: Classifier, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "galaxy.png"
    path.write_bytes(png(pictures[0]))
    forms = [pictures[0], path, str(path), path.read_bytes(), Image.fromarray(pictures[0])]
    table = classifier.predict(forms)
    assert (answers(table, classifier) == answers(table, classifier)[0]).all()
    assert table.index.tolist() == [0, 1, 2, 3, 4]
    assert table.dtypes.iloc[0] == np.float32


def test_a_radius_scales_the_frame_and_may_be_measured(
    classifier: Classifier, pictures: list[np.ndarray]
) -> None:
    whole = classifier.predict(pictures)
    same = classifier.predict(pictures, radius=96 / 8.48)
    pd.testing.assert_frame_equal(whole, same)
    measured = classifier.predict(pictures, radius="measured")
    assert not np.allclose(answers(whole, classifier), answers(measured, classifier))
    moved = classifier.predict(pictures, center=[(40, 40)] * 3)
    assert not np.allclose(answers(whole, classifier), answers(moved, classifier))


def test_fluxes_become_colours_by_the_survey(of_fluxes: Classifier, pictures: list[np.ndarray]) -> None:
    color = ColorMapping(bands=("i", "r", "g"), stretch=50.0, Q=4.0)
    fluxes = {band: pictures[0][:, :, k].astype(float) for k, band in enumerate("irg")}
    cut = {band: Cutout2D(flux, (47.5, 47.5), 96) for band, flux in fluxes.items()}
    table = of_fluxes.predict([fluxes, cut])
    assert_array_equal(*answers(table, of_fluxes))
    colours = color_picture(np.stack([fluxes[band] for band in "irg"], axis=-1).astype(np.float32), color)
    assert_array_equal(
        answers(of_fluxes.predict([colours, colours]), of_fluxes)[0], answers(table, of_fluxes)[0]
    )


def test_a_survey_by_name_measures_frames() -> None:
    rng = np.random.default_rng(0)
    light = galaxy(1, 96).astype(float) / 200 + rng.normal(0, 0.01, (96, 96, 3))
    fluxes = {band: light[:, :, k] for k, band in enumerate("irg")}
    classifier = Classifier(transforms=1, survey="sdss")
    assert len(classifier.predict([fluxes])) == 1
    with pytest.raises(InputError, match=r"radius is 9; the frame of survey 'SDSS' wants no radius"):
        classifier.predict([fluxes], radius=9)


BAD = [
    (np.zeros((64, 64)), r"shape \(64, 64\) and type float64; give an RGB picture.*survey=\"sdss\""),
    (np.zeros((64, 64, 3)), "type float64; give an RGB picture"),
    (np.zeros((4, 64, 3), np.uint8), "64×4 pixels; at least"),
    ({"g": np.zeros((64, 64))}, "fluxes of bands g, and no survey; give"),
    ("nowhere.png", "nowhere.png"),
    (b"text", "neither JPEG nor PNG"),
    (None, "shape"),
    ([[[1, 2], [3]]], "can't become an array"),
]


def pil(picture: np.ndarray, mode: str) -> Image.Image:
    return Image.fromarray(picture).convert(mode)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA", "RGBA", "P"])
def test_a_picture_has_the_same_fate_as_a_file_as_a_pil_image_and_as_an_array(
    classifier: Classifier, pictures: list[np.ndarray], mode: str, tmp_path: Path
) -> None:
    image, path = pil(pictures[0], mode), tmp_path / "galaxy.png"
    image.save(path)
    array = np.asarray(image.convert("RGB") if mode == "P" else image).astype(np.uint8)
    table = classifier.predict([path, image, array], errors="quarantine")
    expected = {"P": None, "LA": "alpha", "RGBA": "alpha"}.get(mode, "grey")
    assert table["reason"].replace({np.nan: None}).tolist() == [expected] * 3
    assert_array_equal(answers(table, classifier)[[0, 0]], answers(table, classifier)[1:])


@pytest.mark.parametrize(
    ("mode", "reason"), [("CMYK", "cmyk"), ("HSV", "not_an_image"), ("F", "grey"), ("I", "grey")]
)
def test_pil_images_in_other_colours_are_refused(
    classifier: Classifier, pictures: list[np.ndarray], mode: str, reason: str
) -> None:
    table = classifier.predict([pil(pictures[0], mode)], errors="quarantine")
    assert table["reason"].tolist() == [reason]


def test_a_pil_image_whose_file_ends_too_early_is_refused(
    classifier: Classifier, pictures: list[np.ndarray]
) -> None:
    image = Image.open(io.BytesIO(png(pictures[0])[:-2000]))
    assert classifier.predict([image], errors="quarantine")["reason"].tolist() == ["truncated"]


@pytest.mark.parametrize("dtype", [complex, "datetime64[s]", "timedelta64[s]", bool, object])
def test_only_real_numbers_are_fluxes_radii_and_centres(
    of_fluxes: Classifier, pictures: list[np.ndarray], dtype: Any
) -> None:
    flux = pictures[0].astype(np.int64)
    bands = {"i": flux[:, :, 0], "r": flux[:, :, 1].astype(dtype), "g": flux[:, :, 2]}
    with pytest.raises(InputError, match=r"band 'r' is an array of type .*; expected real numbers"):
        of_fluxes.predict([bands])
    if dtype is object:
        return
    radius, center = (np.array(value).astype(dtype) for value in ([20], [[40, 40]]))
    misuses: list[dict[str, Any]] = [{"radius": radius}, {"center": center}]
    for arguments in misuses:
        with pytest.raises(InputError, match="expected numbers, for 1 pictures"):
            of_fluxes.predict(pictures[:1], **arguments)


@pytest.mark.parametrize(("bad", "expected"), BAD)
def test_a_bad_picture_is_named(
    classifier: Classifier, pictures: list[np.ndarray], bad: Any, expected: str
) -> None:
    with pytest.raises(InputError, match=rf"^image 1: .*{expected}") as error:
        classifier.predict([pictures[0], bad])
    assert "\n" not in str(error.value)


def test_bad_pictures_may_have_rows_without_answers(
    classifier: Classifier, pictures: list[np.ndarray]
) -> None:
    images = [pictures[0], b"text", pictures[1]]
    table = classifier.predict(images, errors="quarantine")
    assert table["reason"].tolist()[1] == "not_an_image"
    assert table["reason"].isna().tolist() == [True, False, True]
    assert table.loc[1, list(classifier.tree.columns)].isna().all()
    good = classifier.predict([pictures[0], pictures[1]])
    assert_array_equal(answers(table, classifier)[[0, 2]], answers(good, classifier))
    assert table["message"][1].startswith("neither JPEG nor PNG")
    assert classifier.predict([b"text"], errors="quarantine")["reason"].tolist() == ["not_an_image"]


def test_more_pictures_than_are_decoded_at_once(
    classifier: Classifier, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = classifier.predict(pictures)
    monkeypatch.setattr("pipeline.face.classifier._AT_ONCE", 2)
    pd.testing.assert_frame_equal(classifier.predict(pictures), whole)


def test_of_no_pictures_there_are_no_answers(classifier: Classifier) -> None:
    assert classifier.predict([]).empty
    assert list(classifier.tree.columns) == list(classifier.predict([]).columns[:37])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"radius": [1.0]}, r"radius has the shape \(1,\); expected \(3,\), for 3 pictures"),
        ({"center": [(1.0, 2.0)]}, r"center has the shape \(1, 2\); expected \(3, 2\)"),
        ({"radius": "guessed"}, "radius is 'guessed'; expected one of 'measured'"),
        ({"errors": "ignore"}, "errors is 'ignore'; expected one of 'raise', 'quarantine'"),
    ],
)
def test_what_does_not_fit_is_told(
    classifier: Classifier, pictures: list[np.ndarray], arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        classifier.predict(pictures, **arguments)


def test_one_picture_is_no_list(classifier: Classifier, pictures: list[np.ndarray]) -> None:
    for one in (pictures[0], "galaxy.png", b"", {"g": pictures[0]}):
        with pytest.raises(InputError, match=r"one picture, a .*; expected several"):
            classifier.predict(one)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"weights": "nothing"}, "none of the weights that come along has this name"),
        ({"tree": "efigi"}, "answers tree"),
        ({"transforms": 7}, "transforms is 7; expected one of 60, 1"),
        ({"device": "tpu"}, "device is 'tpu'; expected one of 'auto', 'cpu', 'gpu'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Classifier(**settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^device is 'gpu', and torch sees no GPU .*; say 'cpu'"):
        Classifier(device="gpu")


def test_neither_the_package_nor_a_prediction_loads_ray() -> None:
    code = """
import sys
import pipeline
assert not {"numpy", "torch", "pandas", "ray"} & set(sys.modules)
import numpy
pipeline.Classifier(transforms=1).predict([numpy.zeros((32, 32, 3), numpy.uint8)])
pipeline.open_catalogue
assert "torch" in sys.modules and "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("images", [Image.new("RGB", (64, 64)), None, 3])
def test_one_picture_alone_is_refused(classifier: Classifier, images: Any) -> None:
    with pytest.raises(InputError, match="expected several: give a list"):
        classifier.predict(images)
