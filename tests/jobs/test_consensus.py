"""From exports to the consensus, as its user does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from playwright.sync_api import Browser

from jobs.cli import main
from pipeline.evaluation.votes import read_votes
from pipeline.tree import DecisionTree
from pipeline.volunteers import aggregate, fractions, read_ballots
from pipeline.volunteers.table import consensus_schema
from tests.support.browser import accessibility, opened
from tests.support.catalogues import random_probabilities
from tests.support.crowds import crowd_rows
from tests.support.exports import export
from tests.support.tables import snapshot
from tests.support.uncertain import uncertainty_of
from tests.support.voted import write_voted

GALAXIES, USERS, EACH = 40, 25, 6


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A catalogue of galaxies, and an export of simulated votes for them."""
    folder = tmp_path_factory.mktemp("consensus")
    predicted = random_probabilities(GALAXIES)
    ids = write_voted(folder, tree, predicted, predicted, uncertainty_of(tree, predicted, 5.0))
    rows = crowd_rows(tree, ids, GALAXIES, EACH, USERS, "<b>user {}</b>")
    (folder / "half.csv").write_bytes(export(rows[: len(rows) // 2]))
    (folder / "whole.csv").write_bytes(export(rows))
    for name in ("half", "whole"):
        assert run("votes", f"export={folder}/{name}.csv", f"output={folder}/bit_by_bit") == 0
    assert run("votes", f"export={folder}/whole.csv", f"output={folder}/out") == 0
    return folder


def test_the_consensus_is_a_table_of_labels(
    survey: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"output={survey}/consensus.parquet", f"users={survey}/users.parquet"]
    assert run("consensus", f"{survey}/out/votes", *words) == 0
    said = capsys.readouterr().out
    assert f"in {GALAXIES * EACH:,} classifications of {GALAXIES} galaxies by {USERS} users" in said
    table = pq.read_table(survey / "consensus.parquet")
    assert table.schema.equals(consensus_schema(tree))
    assert table["object_id"].to_pylist() == [f"g/{number:03d}" for number in range(GALAXIES)]
    assert table["classifications"].to_pylist() == [EACH] * GALAXIES
    counts, weighted = (
        np.stack([table[f"{column}_{kind}"].to_numpy() for column in tree.columns], axis=1)
        for kind in ("votes", "weighted")
    )
    first = tree.slices[tree.questions[0].key]
    assert (counts[:, first].sum(axis=1) == EACH).all()
    asked = fractions(tree, counts) > 0
    assert (weighted[~asked] == 0).all()
    for column in tree.columns:
        low, share, high = (table[name].to_numpy() for name in (f"{column}_low", column, f"{column}_high"))
        assert ((low <= share) & (share <= high)).all()
    table.to_pandas().to_csv(survey / "labels.csv", index=False)
    labels = read_votes(str(survey / "labels.csv"), tree)  # which checks that answers fit the tree
    assert labels.votes.shape == (GALAXIES, tree.answer_count)
    users = pq.read_table(survey / "users.parquet")
    assert users["user"][0].as_py().startswith("<b>user ")
    assert np.allclose(np.sum([users[name].to_numpy() for name in users.column_names[3:]], axis=0), 1)


@pytest.mark.parametrize(
    ("theme", "width"), [pytest.param("light", 1400, marks=pytest.mark.long), ("dark", 390)]
)
def test_the_page(survey: Path, browser: Browser, theme: Any, width: int) -> None:
    words = [f"output={survey}/page.parquet", f"report={survey}/page"]
    assert run("consensus", f"{survey}/out/votes", *words) == 0
    size: Any = {"width": width, "height": 844}
    with opened(browser, survey / "page/report.html", color_scheme=theme, viewport=size) as found:
        assert f"{GALAXIES * EACH} classifications of {GALAXIES} galaxies" in found.page.inner_text("body")
        assert accessibility(found.page) == ""
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert found.page.locator("svg[role=img]:visible").count() == 3
        assert found.complaints() == []


def test_votes_that_came_bit_by_bit_give_the_very_same(survey: Path) -> None:
    for name in ("out", "bit_by_bit"):
        assert run("consensus", f"{survey}/{name}/votes", f"output={survey}/{name}.parquet") == 0
    first, second = (pq.read_table(survey / f"{name}.parquet") for name in ("out", "bit_by_bit"))
    assert first.equals(second)


def test_a_catalogue_is_the_prior_and_a_delta_table_keeps_versions(
    survey: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    output = survey / "consensus"
    for words in ([], [f"prior={survey}/catalogue"]):
        assert run("consensus", f"{survey}/out/votes", f"output={output}", *words) == 0
    assert "40 of the galaxies have a network's answers as their prior" in capsys.readouterr().out
    last = DeltaTable(str(output)).version()
    alone, with_prior = snapshot(str(output), last - 1), snapshot(str(output), last)
    assert len(alone) == len(with_prior) == GALAXIES
    assert not alone["bar_yes"].equals(with_prior["bar_yes"])


def test_blocks_do_not_matter(survey: Path, tree: DecisionTree) -> None:
    found = []
    for size in (10**6, 100):
        with read_ballots(f"{survey}/out/votes", tree, size) as ballots:
            assert (len(list(ballots.blocks())) > 3) == (size == 100)
            found.append(aggregate(ballots).shares)
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere/votes"], "is not a table of votes; expected the folder `votes`"),
        (["{survey}/out/votes", "tree=galaxy_zoo_1"], "which tree 'galaxy_zoo_1' doesn't; name the tree"),
        (["{survey}/out/votes", "prior={survey}/out/votes"], "lacks 38 columns of tree"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(
    survey: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(survey=survey) for word in words]
    assert run("consensus", *words, f"output={survey}/never.parquet") == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (survey / "never.parquet").exists()
