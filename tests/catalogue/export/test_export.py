from __future__ import annotations

from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.catalogue import export_catalogue
from pipeline.catalogue.export import Format
from pipeline.errors import InputError
from pipeline.protocol import Plan, RunLayout, catalogue_uri
from pipeline.protocol.records import read_ledger
from pipeline.tree import DecisionTree
from tests.support.runs import finish
from tests.support.steps import commit_run
from tests.support.tables import snapshot


@pytest.fixture
def catalogue(layout: RunLayout, tree: DecisionTree, plan: Plan) -> str:
    for unit in plan.units():
        finish(layout, tree, unit)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    return catalogue_uri(layout.output)


def test_kaggle_layout(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    out = str(tmp_path / "submission.csv")
    assert export_catalogue(catalogue, out, tree, "kaggle").rows == 25
    header = Path(out).read_text().splitlines()[0].replace('"', "").split(",")
    assert header[:4] == ["GalaxyID", "Class1.1", "Class1.2", "Class1.3"]
    assert header[-1] == "Class11.6"
    assert len(header) == 38
    everything = str(tmp_path / "all.parquet")
    export_catalogue(catalogue, everything, tree, "parquet")
    read, source = pd.read_csv(out), pq.read_table(everything).to_pandas()
    assert read["GalaxyID"].tolist() == source["object_id"].tolist()
    assert read["Class11.6"].to_numpy() == pytest.approx(source[tree.columns[-1]].to_numpy(), abs=1e-7)


def test_csv_has_every_column(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    out = str(tmp_path / "all.csv")
    export_catalogue(catalogue, out, tree, "csv")
    table = pd.read_csv(out)
    assert {"object_id", "ra", "dec", "run", "bar_answer", "bar_agreement", *tree.columns} <= set(
        table.columns
    )
    assert len(table) == 25


@pytest.mark.parametrize("name", ["two words", "100%", "Galaxie é", "a+b#c?d"])
def test_the_path_may_hold_any_character(name: str, tree: DecisionTree, plan: Plan, tmp_path: Path) -> None:
    """Delta names its files in percent-encoded URIs."""
    layout = RunLayout(str(tmp_path / name), plan.run)
    for unit in plan.units():
        finish(layout, tree, unit)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    out = str(tmp_path / name / "all.parquet")
    assert export_catalogue(catalogue_uri(layout.output), out, tree, "parquet").rows == 25
    assert snapshot(catalogue_uri(layout.output)).to_pylist() == pq.read_table(out).to_pylist()


def test_an_existing_file_is_kept(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    for form in get_args(Format):
        with pytest.raises(InputError, match="exists already"):
            export_catalogue(catalogue, str(out), tree, form)
    assert out.read_text() == "mine"


def test_no_catalogue(tree: DecisionTree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a catalogue"):
        export_catalogue(str(tmp_path), str(tmp_path / "x.csv"), tree, "csv")
