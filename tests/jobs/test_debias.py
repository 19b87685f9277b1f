"""From a consensus and a table of galaxies to corrected shares and their page, as its user does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser

from jobs.cli import main
from pipeline.tree import DecisionTree
from pipeline.volunteers import fractions
from pipeline.volunteers.bayesian import cumulative
from tests.support.browser import accessibility, opened
from tests.support.distant import Distant, survey
from tests.support.tables import snapshot

COUNT = 3_000


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def distant(tree: DecisionTree) -> Distant:
    rng = np.random.default_rng(2)
    pool = np.hstack([rng.dirichlet(np.full(len(q.answers), 0.7), COUNT) for q in tree.questions])
    return survey(tree, pool, COUNT, 40, "odds", rng)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree, distant: Distant) -> Path:
    """A consensus, its galaxies without the last ten, and what `debias` made of both."""
    place = tmp_path_factory.mktemp("debias")
    ids = [f"g{number:05d}" for number in range(COUNT)]
    shares = cumulative(tree, fractions(tree, distant.counts)).astype(np.float32)
    table = pd.DataFrame({"object_id": ids}).join(pd.DataFrame(shares, columns=list(tree.columns)))
    counts = pd.DataFrame(distant.counts.astype(np.int32), columns=[f"{name}_votes" for name in tree.columns])
    table.join(counts).to_parquet(place / "consensus.parquet", index=False)
    table.to_parquet(place / "catalogue.parquet", index=False)
    galaxies = distant.galaxies
    described = {"dr7": ids, "M": galaxies.magnitude, "R50": galaxies.size, "z": galaxies.redshift}
    pd.DataFrame(described).iloc[:-10].to_csv(place / "galaxies.csv", index=False)
    words = [f"galaxies={place}/galaxies.csv", "id=dr7", "magnitude=M", "size=R50", "redshift=z"]
    assert run("debias", f"{place}/consensus.parquet", *words, "method=ratios", f"output={place}/out") == 0
    return place


def test_rows_are_corrected_shares(folder: Path, tree: DecisionTree, distant: Distant) -> None:
    table = snapshot(str(folder / "out/debiased"))
    assert len(table) == COUNT
    first = tree.questions[0].key
    done = table[f"{first}_debiased"].to_numpy()
    assert 0.3 < done.mean() < 1
    assert not done[-10:].any()
    before = cumulative(tree, fractions(tree, distant.counts))
    featured = table[tree.columns[1]].to_numpy()
    np.testing.assert_allclose(featured[-10:], before[-10:, 1], atol=1e-6)
    far = done & (distant.galaxies.redshift > 0.07)
    off = [abs((one - distant.truth[:, 1])[far].mean()) for one in (before[:, 1], featured)]
    assert off[1] < off[0] / 2
    assert 0 < table["disk_edge_on_no_clean"].to_numpy().sum() < COUNT


def test_a_table_without_votes_has_no_clean_samples(
    folder: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"galaxies={folder}/galaxies.csv", "id=dr7", "magnitude=M", "size=R50", "redshift=z"]
    assert run("debias", f"{folder}/catalogue.parquet", *words, "method=ratios", f"output={folder}/two") == 0
    assert "when corrected" in capsys.readouterr().out
    assert not [name for name in snapshot(str(folder / "two/debiased")).column_names if "_clean" in name]


@pytest.mark.parametrize(
    ("theme", "width"), [pytest.param("light", 1280, marks=pytest.mark.long), ("dark", 390)]
)
def test_the_page_is_readable(browser: Browser, folder: Path, theme: Any, width: int) -> None:
    size: Any = {"width": width, "height": 844}
    with opened(browser, folder / "out/report.html", color_scheme=theme, viewport=size) as found:
        assert accessibility(found.page) == ""
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert found.page.locator("svg[role=img]").count() == 2
        assert found.complaints() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{folder}/galaxies.csv", "galaxies={folder}/galaxies.csv"], "has no column 'object_id'"),
        (
            ["{folder}/out/debiased", "galaxies={folder}/galaxies.csv", "id=M", "magnitude=M", "size=R50"],
            "has no column 'redshift'",
        ),
        (
            [
                "{folder}/consensus.parquet",
                *("galaxies={folder}/galaxies.csv", "id=M", "magnitude=M", "size=R50", "redshift=z"),
            ],
            "of none of the 3,000 galaxies",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(
    folder: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(folder=folder) for word in words]
    assert run("debias", *words, f"output={folder}/never") == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (folder / "never").exists()
