"""Triage of a small catalogue, as its user runs it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.cli import main
from pipeline.evaluation.triage import plurality_probability
from pipeline.tree import DecisionTree
from tests.support.uncertain import uncertainty_of
from tests.support.voted import write_voted
from tests.support.votes import sample

COUNT = 400


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A catalogue of 400 galaxies and their votes; 40 have a cutout."""
    folder = tmp_path_factory.mktemp("triage")
    write_voted(folder, tree, *sample(tree, COUNT, np.random.default_rng(7)))
    return folder


def run(survey: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["triage", str(survey / "catalogue"), f"output={survey}/out", *words])
    return int(ended.value.code or 0)


def test_every_galaxy_is_settled_or_for_people_and_people_get_pictures(
    survey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(survey, f"labels={survey}/votes.csv", "target=0.85", "subjects=300") == 0
    said = capsys.readouterr().out
    assert "smooth_or_featured: settled from confidence" in said
    assert "which saves volunteers" in said
    settled, work = (pq.read_table(survey / "out" / f"{name}.parquet") for name in ("settled", "worklist"))
    assert len(settled) > 100
    assert sorted(settled["object_id"].to_pylist() + work["object_id"].to_pylist()) == [
        f"g/{row:03d}" for row in range(COUNT)
    ]
    assert settled["smooth_or_featured_answer"].null_count == 0
    assert "smooth_or_featured" in work["questions"][0].as_py()
    text = (survey / "out" / "subjects" / "manifest.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows
    assert [float(row["#confidence"]) for row in rows] == sorted(float(row["#confidence"]) for row in rows)
    assert {row["#object_id"] for row in rows} <= set(work["object_id"].to_pylist())
    for row in rows:
        with Image.open(survey / "out" / "subjects" / row["image"]) as picture:
            assert (picture.format, picture.size) == ("JPEG", (424, 424))
    assert "have no cutout to show" in said  # those whose shard holds other galaxies in their place
    page = (survey / "out" / "report.html").read_text()
    assert "Thresholds" in page
    assert "Confidence is the agreement" in page


def test_where_the_catalogue_says_how_sure_it_is_confidence_is_a_probability(
    tree: DecisionTree, tmp_path: Path
) -> None:
    predicted, votes = sample(tree, COUNT, np.random.default_rng(7))
    write_voted(tmp_path, tree, predicted, votes, uncertainty_of(tree, predicted, 5.0))
    assert run(tmp_path, f"labels={tmp_path}/votes.csv", "target=0.85", "subjects=5") == 0
    assert "Confidence is the probability that" in (tmp_path / "out" / "report.html").read_text()
    work = pq.read_table(tmp_path / "out" / "worklist.parquet")
    rows = [int(name.removeprefix("g/")) for name in work["object_id"].to_pylist()]
    shares = predicted[rows][:, tree.slices["smooth_or_featured"]]
    expected = plurality_probability(shares.astype(np.float32), np.full(len(rows), 5.0))
    assert 0 < len(rows) < COUNT
    np.testing.assert_allclose(work["confidence"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["questions=[colour]"], "questions='colour' is none of tree"),
        (["target=1.5"], "target=1.5"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(
    survey: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(survey, f"labels={survey}/votes.csv", *words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
