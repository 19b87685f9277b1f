"""Rounds of people and machine, as their user takes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.cli import main
from pipeline.evaluation.votes import read_votes
from pipeline.tree import DecisionTree
from pipeline.volunteers.rounds import read_rounds
from tests.support.catalogues import random_probabilities
from tests.support.crowds import crowd_rows
from tests.support.exports import export
from tests.support.tables import snapshot
from tests.support.uncertain import uncertainty_of
from tests.support.voted import PICTURED, write_voted

GALAXIES, VOTED, USERS, EACH = 60, 30, 25, 8


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A catalogue, and two exports of simulated votes for half of its galaxies: the second has all."""
    folder = tmp_path_factory.mktemp("loop")
    predicted = random_probabilities(GALAXIES)
    ids = write_voted(folder, tree, predicted, predicted, uncertainty_of(tree, predicted, 5.0))
    rows = crowd_rows(tree, ids, VOTED, EACH, USERS)
    (folder / "first.csv").write_bytes(export(rows[: len(rows) // 2]))
    (folder / "second.csv").write_bytes(export(rows))
    return folder


@pytest.fixture
def survey(made: Path, tmp_path: Path) -> Path:
    """The same, to work in."""
    return shutil.copytree(made, tmp_path, dirs_exist_ok=True)


def take_round(survey: Path, *words: str) -> int:
    return run("loop", f"{survey}/catalogue", f"votes={survey}/people/votes", f"output={survey}/loop", *words)


def first_labels(survey: Path) -> int:
    return read_rounds(str(survey / "loop"))[0].labels


def test_two_rounds(survey: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]) -> None:
    loop = survey / "loop"
    assert run("votes", f"export={survey}/first.csv", f"output={survey}/people") == 0
    assert take_round(survey, "labels_from=4", "subjects=7") == 0
    said = capsys.readouterr().out
    assert "Round 1: " in said
    assert f"{first_labels(survey)} galaxies have a consensus" in said
    assert take_round(survey) == 0
    assert "Nothing is new since round 1" in capsys.readouterr().out
    assert run("votes", f"export={survey}/second.csv", f"output={survey}/people") == 0
    assert take_round(survey, "labels_from=4", "votes_each=8", "subjects=7") == 0
    first, second = read_rounds(str(loop))
    assert (first.classifications, second.classifications) == (VOTED * EACH // 2, VOTED * EACH)
    assert first.galaxies == second.galaxies == GALAXIES
    assert second.for_people <= GALAXIES - VOTED  # all eight have looked at the others
    assert 0 < second.to_come <= 8 * second.for_people
    assert second.done + second.for_people + second.for_experts == GALAXIES
    assert second.settled > first.settled
    assert first.count("people") + first.count("both") > 0

    galaxies = snapshot(str(loop / "galaxies")).to_pandas()
    assert sorted(galaxies["object_id"]) == [f"g/{number:03d}" for number in range(GALAXIES)]
    assert DeltaTable(str(loop / "galaxies")).version() == 2
    for question in tree.questions:
        asked = galaxies[f"{question.key}_answer"].notna()
        assert (asked == galaxies[f"{question.key}_settled_by"].notna()).all()
        settled = asked & (galaxies[f"{question.key}_settled_by"] != "open")
        assert (galaxies[f"{question.key}_probability"][settled] >= np.float32(0.9)).all()
        counts = second.answers[question.key]
        assert counts["not_asked"] == (~asked).sum()
        assert counts["open"] == (galaxies[f"{question.key}_settled_by"] == "open").sum()
    assert ((galaxies["next"] == "people") == (galaxies["gain"] > 0)).all()
    assert (galaxies["next"] == "experts").sum() == second.for_experts

    following = pq.read_table(loop / "next.parquet").to_pandas()
    best = galaxies.sort_values(["gain", "object_id"], ascending=[False, True])["object_id"][:7]
    assert following["object_id"].tolist() == best.tolist()
    manifest = pd.read_csv(loop / "subjects" / "manifest.csv")
    assert set(manifest["#object_id"]) <= set(following["object_id"])

    labels = read_votes(str(loop / "labels" / "labels.csv"), tree)
    assert len(labels.ids) == second.labels == min(VOTED, PICTURED)
    table = pd.read_csv(loop / "labels" / "labels.csv")
    assert (table["volunteers"] == EACH).all()
    assert all((loop / "labels" / picture).read_bytes()[:2] == b"\xff\xd8" for picture in table["image"])


def test_a_round_that_was_stopped_is_taken_again(survey: Path) -> None:
    assert run("votes", f"export={survey}/first.csv", f"output={survey}/people") == 0
    assert take_round(survey) == 0
    (survey / "loop" / "rounds" / "000001.json").unlink()  # its last act
    assert take_round(survey) == 0
    assert [one.number for one in read_rounds(str(survey / "loop"))] == [1]


def test_a_round_that_cannot_be_read(survey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (survey / "loop" / "rounds").mkdir(parents=True)
    (survey / "loop" / "rounds" / "000001.json").write_text("{")
    assert take_round(survey) == 2
    assert "000001.json is not a round" in capsys.readouterr().err


def test_without_votes(survey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_round(survey) == 2
    assert f"{survey}/people/votes" in capsys.readouterr().err
