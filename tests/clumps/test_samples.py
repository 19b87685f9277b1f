"""Galaxies to train a detector on, from marks and turned."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.clumps.light import galaxy_light
from pipeline.clumps.samples import marked_samples, marks_fit, turned
from pipeline.errors import InputError
from tests.support.clumpy import PLACES, clumpy
from tests.support.galaxies import png

MIDDLE = 211.5
OUTSIDE = (190.0, -190.0)


def write_marks(folder: Path, marks: dict[str, list[tuple[float, float]]]) -> None:
    (folder / "images").mkdir(parents=True)
    with (folder / "clumps.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "x_px", "y_px"])
        for name, places in marks.items():
            (folder / "images" / name).write_bytes(png(clumpy()))
            rows.writerows((name, x + MIDDLE, y + MIDDLE) for x, y in places)


def test_galaxies_are_kept_whose_marks_fit_their_picture(tmp_path: Path) -> None:
    askew = [(-y, x) for x, y in PLACES]
    write_marks(tmp_path / "marked", {"right.png": [*PLACES, OUTSIDE], "askew.png": askew})
    ((name, sample),) = marked_samples(tmp_path / "marked").items()
    assert name == "right.png"
    np.testing.assert_allclose(sample.places, PLACES, atol=1e-9)
    (tmp_path / "marked" / "clumps.csv").write_text("image,x\n")
    assert marked_samples(tmp_path / "marked") == {}
    (tmp_path / "marked" / "clumps.csv").write_text("image,x\nright.png,3\n")
    with pytest.raises(InputError, match="expected columns image, x_px, y_px"):
        marked_samples(tmp_path / "marked")


@pytest.mark.parametrize("degrees", [15, 30, 90, 137])
def test_a_galaxy_is_turned_with_its_clumps(tmp_path: Path, degrees: float) -> None:
    write_marks(tmp_path / "marked", {"right.png": list(PLACES)})
    (sample,) = marked_samples(tmp_path / "marked").values()
    other = turned(sample, degrees)
    light = galaxy_light(other.picture)
    assert marks_fit(light, other.places + MIDDLE)
    blue = light.light[..., 2]
    for x, y in other.places + MIDDLE:
        rows, columns = np.mgrid[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
        weight = np.maximum(blue[rows, columns] - np.median(blue[rows, columns]), 0)
        middle = [(axis * weight).sum() / weight.sum() for axis in (columns, rows)]
        np.testing.assert_allclose(middle, [x, y], atol=1.0)
