"""Tables of clumps as their user asks for them, the page, and what is wrong with a catalogue of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser

from jobs.cli import main
from pipeline.catalogue import answer_matrix, catalogue_rows
from pipeline.catalogue.clumps import CLUMP, CLUMP_COUNT, CLUMPS, pack_clumps
from pipeline.clumps.weights import CLUMPS as SHIPPED
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.run.clumps import write_clump_page
from pipeline.tree import GALAXY_ZOO_2, DecisionTree
from pipeline.upkeep.verify.rows import value_problems
from tests.catalogue.export.samples import write_catalogue
from tests.support.browser import accessibility, opened
from tests.support.catalogues import random_probabilities
from tests.support.clumpy import PLACES, clumpy
from tests.support.galaxies import png

COUNT = 6
"""Galaxies; the number of clumps of each is its own, but of the first, which has the three that are there."""


def clumps_of(number: int) -> np.ndarray:
    clumps = np.zeros(number or len(PLACES), CLUMP)
    places = np.resize(np.array(PLACES), (len(clumps), 2)) + 211.5
    clumps["x"], clumps["y"], clumps["width"] = places[:, 0], places[:, 1], 18
    clumps["ra"] = np.nan if number == 1 else 10
    clumps["dec"] = np.nan if number == 1 else -5
    clumps["probability"] = 0.9
    clumps["flux_ratio_blue"] = np.resize([0.09, 0.05, 0.01], len(clumps))
    return clumps


def rows_with(tree: DecisionTree, folder: Path, clumps: list[bytes] | None) -> pa.Table:
    ids = [f"g{i}" for i in range(COUNT)]
    known = pa.table(
        {"object_id": ids, "ra": np.full(COUNT, 10.0), "dec": np.full(COUNT, -5.0), "content": ids}
    )
    inputs = [f"{folder}/a.parquet#{i}" for i in range(COUNT)]
    column = None if clumps is None else pa.chunked_array([pa.array(clumps, pa.binary())])
    return catalogue_rows(
        tree, known, random_probabilities(COUNT).astype(np.float32), "run", "w" * 64, inputs, clumps=column
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    folder = tmp_path_factory.mktemp("clumps")
    pictures = [{"object_id": f"g{i}", "image": png(clumpy())} for i in range(COUNT - 1)]
    pictures.append({"object_id": f"g{COUNT - 1}", "image": b"no picture"})
    pq.write_table(pa.Table.from_pylist(pictures, schema=CUTOUT_SCHEMA), folder / "a.parquet")
    packed = pack_clumps([clumps_of(i) for i in range(COUNT)]).to_pylist()
    write_catalogue(str(folder / "catalogue"), tree, rows_with(tree, folder, packed))
    return folder


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ending:
        main(list(words))
    assert isinstance(ending.value.code, int)
    return ending.value.code


def test_a_table_of_clumps_is_written_in_every_form(output: Path, tmp_path: Path) -> None:
    catalogue = str(output / "catalogue")
    total = len(PLACES) + sum(range(COUNT))
    for name in ("c.csv", "c.parquet", "c.fits", "c.vot"):
        assert run("clumps", catalogue, str(tmp_path / name)) == 0
    assert run("clumps", catalogue, str(tmp_path / "c"), "--format", "hats") == 0
    csv = pd.read_csv(tmp_path / "c.csv")
    assert len(csv) == total
    assert csv["object_id"].is_unique
    assert csv["ra"].isna().sum() == 1
    assert csv.groupby("galaxy_id").size().to_dict() == {"g0": 3, "g1": 1, "g2": 2, "g3": 3, "g4": 4, "g5": 5}
    assert (csv["relaxed"] == (csv["flux_ratio_blue"] >= 0.03)).all()
    (leaf,) = (tmp_path / "c" / "dataset").rglob("Npix=*.parquet")
    assert pq.read_metadata(leaf).num_rows == total - 1


@pytest.mark.parametrize("form", ["kaggle", "xlsx"])
def test_forms_that_hold_no_clumps_are_refused(
    output: Path, tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("clumps", str(output / "catalogue"), str(tmp_path / "out"), "--format", form) == 2
    assert form in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_catalogue_without_clumps_says_how_it_gets_them(
    tree: DecisionTree, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_catalogue(str(tmp_path / "catalogue"), tree, rows_with(tree, tmp_path, None))
    assert run("clumps", str(tmp_path / "catalogue"), str(tmp_path / "c.csv")) == 2
    said = capfd.readouterr().err
    assert "make it with `tuningfork detect`" in said
    assert len(said.splitlines()) == 1


def test_verify_counts_the_bytes_of_clumps(output: Path, tree: DecisionTree) -> None:
    rows = rows_with(tree, output, pack_clumps([clumps_of(i) for i in range(COUNT)]).to_pylist())

    def problems(table: pa.Table) -> list[list[bool]]:
        found = value_problems(tree, table, answer_matrix(tree, table), averaged=True)
        return [one.rows.tolist() for one in found if CLUMPS in one.expected and one.rows.any()]

    assert problems(rows) == []
    for name, value in ((CLUMPS, bytes(45)), (CLUMPS, bytes(88)), (CLUMP_COUNT, 2)):
        values = rows[name].to_pylist()
        values[3] = value
        place = rows.schema.get_field_index(name)
        damaged = rows.set_column(place, name, pa.array(values, rows.schema.field(name).type))
        assert problems(damaged) == [[False, False, False, True, False, False]]


@pytest.fixture(scope="module")
def page(output: Path) -> Path:
    return Path(write_clump_page(str(output), str(GALAXY_ZOO_2), SHIPPED, 5))


def test_the_page_rings_the_galaxies_with_most_clumps(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "18 clumps in 6 of 6 galaxies" in text
    assert text.count("data:image/webp") == 4  # five are shown, and the one with most has no picture


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("dark", 390),
        ("light", 1400),
        *(pytest.param(*other, marks=pytest.mark.long) for other in (("light", 390), ("dark", 1400))),
    ],
)
def test_the_page_is_readable_everywhere(browser: Browser, page: Path, theme: Any, width: int) -> None:
    size: Any = {"width": width, "height": 900}
    with opened(browser, page, color_scheme=theme, viewport=size, reduced_motion="reduce") as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        assert accessibility(found.page) == ""
        assert found.complaints() == []
