"""Explain as its user runs it: on the Hubble galaxies, and with settings that don't fit."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from jobs.explain import run
from pipeline.cutouts import list_shards, read_ids
from pipeline.errors import InputError
from pipeline.run.looking import ExplainConfig
from pipeline.tree import DecisionTree
from tests.support.command import tuningfork_here as tuningfork
from tests.support.outputs import obedient

GALAXIES = 24


@pytest.fixture(scope="module")
def hubble(hubble_shard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `GALAXIES` of them."""
    folder = tmp_path_factory.mktemp("hubble")
    (folder / "cutouts").mkdir()
    # Without what marks it as part of a set that was ingested whole.
    some = pq.read_table(hubble_shard).slice(0, GALAXIES).replace_schema_metadata(None)
    pq.write_table(some, folder / "cutouts" / "some.parquet")
    return folder


def ids_of(folder: Path) -> list[str]:
    return [
        name for shard in list_shards(str(folder / "cutouts")) for name in read_ids(shard.uri).to_pylist()
    ]


def labels(folder: Path, tree: DecisionTree, ids: list[str]) -> str:
    table = pd.DataFrame(obedient(tree, len(ids), 3), columns=list(tree.columns))
    table.insert(0, "object_id", ids)
    table.to_csv(folder / "labels.csv", index=False)
    return str(folder / "labels.csv")


def test_explain_writes_its_page_with_figures_and_tables(hubble: Path, tree: DecisionTree) -> None:
    ids = ids_of(hubble)
    labels(hubble, tree, ids[:20])
    words = ["input=cutouts", "output=out", "labels=labels.csv", "units=[3,200]", "top=3", "viewpoint=9"]
    done = tuningfork("explain", *words, f"galaxy={ids[1]}", f"occlude=[{ids[1]}]", cwd=hubble)
    assert done.returncode == 0, done.stderr
    assert "out/report.html" in done.stdout
    page = (hubble / "out" / "report.html").read_text()
    assert f"Of galaxy {ids[1]} from viewpoint 9" in page
    figures = {path.name for path in (hubble / "out" / "figures").iterdir()}
    for name in ("filters", "convolution_1", "convolution_4", "dense_layers", "occlusion_1"):
        assert {f"{name}.svg", f"{name}.png"} <= figures
    with (hubble / "out" / "tables" / "units.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["unit"], row["excited"]) for row in rows[::3]] == [
        ("3", "most"),
        ("3", "least"),
        ("200", "most"),
        ("200", "least"),
    ]
    for start in (0, 6):
        values = [float(row["activation"]) for row in rows[start : start + 6]]
        assert values[0] >= values[1] >= values[2] > values[5] >= values[4] >= values[3]
    places = {(row["shard"], int(row["row"])): row["object_id"] for row in rows}
    for (shard, number), name in places.items():
        assert read_ids(shard)[number].as_py() == name
    with (hubble / "out" / "tables" / "errors.csv").open() as stream:
        errors = list(csv.DictReader(stream))
    assert {row["object_id"] for row in errors} <= set(ids[:20])
    assert np.argmax([float(row["rmse"]) for row in errors]) == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"galaxy": "nobody"}, r"cutouts has no galaxy 'nobody'; name one by its object_id"),
        ({"occlude": ("nobody",)}, r"has no galaxy 'nobody'"),
        ({"units": (3, 256)}, r"units: 256 is none of network '.*'; expected 0 to 255"),
        ({"labels": "labels"}, r"has votes for none of the galaxies of .*: ids there are like 'elsewhere'"),
    ],
)
def test_settings_that_do_not_fit_are_one_clear_line(
    settings: dict, expected: str, hubble: Path, tree: DecisionTree, tmp_path: Path
) -> None:
    if "labels" in settings:
        settings = {"labels": labels(tmp_path, tree, ["elsewhere"])}
    with pytest.raises(InputError, match=expected) as error:
        run(ExplainConfig(input=str(hubble / "cutouts"), output=str(tmp_path / "out"), **settings))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_viewpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    done = tuningfork("explain", "input=x", "output=y", "viewpoint=16", cwd=tmp_path)
    assert done.returncode == 2
    assert "viewpoint=16: Input should be less than or equal to 15" in done.stderr
