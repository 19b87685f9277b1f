"""Two small catalogues compared, from the command to the page."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from jobs.cli import main
from tests.support.catalogues import catalogue, cutouts, parse, random_probabilities, saying

IDS = [f"g{row:02d}" for row in range(30)]


def tell(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *words])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out + said.err


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Version 0: 30 galaxies. Version 1: g03 and g04 of another class, g28 gone, g29 not there, h01 new."""
    survey = tmp_path / "cutouts"
    survey.mkdir()
    pq.write_table(cutouts([*IDS, "h01"]), survey / "a.parquet")
    places = [f"{survey}/a.parquet#{row}" for row in range(31)]
    before = np.concatenate([[saying(smooth_or_featured="smooth")] * 10, random_probabilities(20)])
    after = before.copy()
    after[3], after[4] = saying(smooth_or_featured="featured_or_disk"), saying(smooth_or_featured="artifact")
    write_deltalake(str(tmp_path / "catalogue"), catalogue(before, IDS, input=places[:30]))
    after = np.concatenate([after[:29], after[:1]])
    marks = [None] * 28 + ["gone", None]
    later = catalogue(after, [*IDS[:29], "h01"], input=[*places[:29], places[30]], stale=marks)
    write_deltalake(str(tmp_path / "catalogue"), later, mode="overwrite")
    return tmp_path


def test_two_versions_of_a_catalogue(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(pair / "catalogue")
    status, said = tell(capsys, where, where, "--as-of", "0", f"output={pair}/drift")
    assert status == 0, said
    counts = "1 new, 28 kept, 1 gone, 1 only in the catalogue before"
    assert f"{counts}; of 28 compared 2 changed class" in said
    page = parse((pair / "drift" / "report.html").read_text())
    assert not page.unbalanced
    assert len([e for e in page.of("img") if e.attributes["src"].startswith("data:image/webp")]) == 2

    def table(name: str) -> list[list[str]]:
        return list(csv.reader((pair / "drift" / "tables" / f"{name}.csv").open()))

    assert {row[0] for row in table("changed")[1:]} == {"g03", "g04"}
    classes = np.array([row[1:] for row in table("classes")[1:]], int)
    assert classes[-1, -1] == 28
    assert np.trace(classes[:-1, :-1]) == 26
    assert len(table("answers")) == 1 + 37
    assert table("answers")[1][0] == "smooth_or_featured_smooth"
    assert (pair / "drift" / "figures" / "answers.svg").exists()


def test_pictures_are_left_out_where_the_cutouts_are_gone(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pair / "cutouts" / "a.parquet").unlink()
    where = str(pair / "catalogue")
    status, said = tell(capsys, where, where, "other_as_of=0", f"output={pair}/drift")
    assert status == 0, said
    assert "No pictures of 2 galaxies of" in said
    assert "1 came back" in said


def test_what_cannot_be_compared_is_refused_in_a_line(
    pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, output = str(pair / "catalogue"), f"output={tmp_path}/drift"
    write_deltalake(str(tmp_path / "strangers"), catalogue(random_probabilities(3), ["x", "y", "z"]))
    twice = catalogue(random_probabilities(3), ["x", "x", "z"])
    write_deltalake(str(tmp_path / "twice"), twice)
    write_deltalake(str(tmp_path / "bare"), twice.drop_columns(["content"]))
    answers = random_probabilities(30)
    answers[7, 2] = np.nan
    write_deltalake(str(tmp_path / "holes"), catalogue(answers, IDS))
    for words, expected in (
        ((where, f"{tmp_path}/holes"), "smooth_or_featured_artifact of galaxy g07"),
        ((where, where), "is compared with itself"),
        ((where, f"{tmp_path}/strangers"), "no galaxy of"),
        ((where, f"{tmp_path}/twice"), "holds galaxy x more than once"),
        ((where, f"{tmp_path}/bare"), "lacks column 'content'"),
        ((where, f"{tmp_path}/nowhere"), "is not a catalogue"),
        ((where, where, "--as-of", "7"), "has no version 7"),
    ):
        status, said = tell(capsys, *words, output)
        assert status == 2, said
        lines = [line for line in said.splitlines() if line.startswith("tuningfork: ")]
        assert len(lines) == 1, said
        assert expected in lines[0]
    assert not (tmp_path / "drift").exists()
