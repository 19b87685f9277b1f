"""A new task from few labels, as its user runs it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.tree import DecisionTree
from tests.support.embedded import PROJECTION, WEIGHTS, clouds, write_embedded

COUNT, PICTURED, LABELLED = 600, 60, 150
VECTORS, RARE = clouds(COUNT)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    write_embedded(folder, tree, VECTORS, PICTURED)
    write_labels(folder / "rings.csv", ["yes" if rare else "no" for rare in RARE[:LABELLED]])
    return folder


def write_labels(path: Path, labels: list, name: str = "ring", first: int = 0) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["object_id", name])
        writer.writerows((f"g/{first + row:04d}", label) for row, label in enumerate(labels))
    return path


def run(survey: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["fit", str(survey / "catalogue"), *words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def learnt(survey: Path) -> tuple[Path, str]:
    """What is learnt from the labels of rings, and what is said of it."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run(survey, f"labels={survey}/rings.csv", f"output={survey}/learnt") == 0
    return survey / "learnt", said.getvalue()


def test_a_few_labels_answer_for_the_whole_catalogue(learnt: tuple[Path, str]) -> None:
    out, said = learnt
    assert "ring from 150 labels: 9" in said
    answers = pq.read_table(out / "answers.parquet")
    assert answers.schema.names == ["object_id", "ra", "dec", "ring"]
    assert answers["object_id"].to_pylist() == [f"g/{row:04d}" for row in range(COUNT)]
    shares = answers["ring"].to_numpy()
    assert ((shares > 0.5) == RARE)[LABELLED:].mean() > 0.95
    assert abs(shares[LABELLED:].mean() - RARE[LABELLED:].mean()) < 0.04
    probe = json.loads((out / "probe.json").read_text())
    assert (probe["weights_sha256"], probe["projection_sha256"]) == (WEIGHTS, PROJECTION)
    assert probe["score"]["auroc"] > 0.95
    page = (out / "report.html").read_text()
    for words in ("How far to trust it", "By number of labels", "Most doubtful"):
        assert words in page
    with (out / "tables" / "curve.csv").open() as stream:
        assert [row["labels"] for row in csv.DictReader(stream)] == ["20", "50", "100"]


def test_what_was_learnt_answers_for_another_catalogue(
    learnt: tuple[Path, str], tmp_path: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = learnt
    others, rare = clouds(100, seed=3)
    (tmp_path / "other").mkdir()
    write_embedded(tmp_path / "other", tree, others)
    assert run(tmp_path / "other", f"probe={out}", f"output={tmp_path}/applied") == 0
    shares = pq.read_table(tmp_path / "applied" / "answers.parquet")["ring"].to_numpy()
    assert ((shares > 0.5) == rare).mean() > 0.9
    (tmp_path / "foreign").mkdir()
    write_embedded(tmp_path / "foreign", tree, others, weights="v" * 64)
    capsys.readouterr()
    assert run(tmp_path / "foreign", f"probe={out}", f"output={tmp_path}/applied") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "was learnt from embeddings of weights wwwwwwwwwwww…, and those of" in error


def test_fractions_and_classes_are_learnt_too(survey: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fractions = np.clip(np.where(RARE[:LABELLED], 0.8, 0.1) + rng.normal(0, 0.05, LABELLED), 0, 1)
    labels = write_labels(tmp_path / "fractions.csv", fractions.round(3).tolist())
    assert run(survey, f"labels={labels}", f"output={tmp_path}/a") == 0
    shares = pq.read_table(tmp_path / "a" / "answers.parquet")["ring"].to_numpy()[LABELLED:]
    assert 0.5 < shares[RARE[LABELLED:]].mean() < 0.8
    assert 0.1 < shares[~RARE[LABELLED:]].mean() < 0.2
    kinds = np.where(RARE, "ring", np.where(VECTORS[:, 10] > 0, "bar", "plain"))
    labels = write_labels(tmp_path / "kinds.csv", kinds[:LABELLED].tolist(), "kind")
    assert run(survey, f"labels={labels}", f"output={tmp_path}/b") == 0
    answers = pq.read_table(tmp_path / "b" / "answers.parquet")
    assert answers.schema.names[3:] == ["kind_bar", "kind_plain", "kind_ring"]
    shares = np.column_stack([answers[name].to_numpy() for name in answers.schema.names[3:]])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    said = np.array(["bar", "plain", "ring"])[shares.argmax(axis=1)]
    assert (said == kinds)[LABELLED:].mean() > 0.7


@pytest.mark.parametrize(
    ("labels", "first", "told"),
    [
        (["yes"] * 30, 0, "ring is 'yes' of all 30 galaxies; expected two classes or more"),
        (["yes", "no"] * 4, 0, "ring has 8 labels; expected at least 10"),
        (["yes", "no"] * 20, 5000, "has none of the 40 galaxies of"),
        (["yes", "no"] * 20, COUNT - 8, "ring has 8 labels; expected at least 10"),
        ([0, 1.7] * 20, 0, "ring of galaxy g/0001 is 1.7; expected yes or no, a fraction from 0 to 1"),
        (["yes"] + ["no"] * 20, 0, "ring is 'yes' of 1 of the galaxies; expected at least 2 of each class"),
    ],
)
def test_labels_that_cannot_be_used_are_told_in_a_line(
    survey: Path, tmp_path: Path, labels: list, first: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_labels(tmp_path / "labels.csv", labels, first=first)
    assert run(survey, f"labels={path}", f"output={tmp_path}/out") == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_labels_of_galaxies_that_are_not_there_are_left_out_and_told(
    survey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["yes" if rare else "no" for rare in RARE[-40:]] + ["yes"] * 3
    path = write_labels(tmp_path / "l.csv", labels, first=COUNT - 40)
    assert run(survey, f"labels={path}", f"output={tmp_path}/out") == 0
    said = capsys.readouterr().out
    assert "3 of the 43 galaxies of" in said
    assert "first 'g/0600'; they are left out" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either labels=CSV, to learn from, or probe=DIR"),
        (["labels=rings.csv", "probe=x"], "give either labels=CSV, to learn from, or probe=DIR"),
        (["probe=nowhere"], "there is no nowhere/probe.json; name a folder that `tuningfork fit` wrote"),
    ],
)
def test_settings_that_contradict_are_told(
    survey: Path, tmp_path: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(survey, f"output={tmp_path}/out", *words) == 2
    assert told in capsys.readouterr().err
