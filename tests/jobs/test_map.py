"""A map as its user asks for it, and what is wrong with a question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import galaxies, write_catalogue
from tests.support.embedded import clouds, write_embedded

COUNT, PICTURED = 120, 12


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    folder = tmp_path_factory.mktemp("map")
    write_embedded(folder, tree, clouds(COUNT)[0], PICTURED)
    return folder


def run(catalogue: Path, output: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["map", str(catalogue), f"output={output}", *words])
    return int(ended.value.code or 0)


def test_a_map_with_its_table_is_the_same_each_time(
    survey: Path, tmp_path: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(survey / "catalogue", tmp_path / "a", "galaxies=80", "pictures=30") == 0
    assert "80 galaxies with their places" in capsys.readouterr().out
    table = pq.read_table(tmp_path / "a" / "map.parquet")
    assert table.column_names == ["object_id", "ra", "dec", "x", "y", *tree.columns]
    assert len(set(table["object_id"].to_pylist())) == 80
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.count("data:image/webp;base64,") == 1
    assert run(survey / "catalogue", tmp_path / "b", "galaxies=80", "pictures=30") == 0
    assert (tmp_path / "b" / "report.html").read_text() == page
    assert run(survey / "catalogue", tmp_path / "c", "galaxies=80", "pictures=0", "seed=1") == 0
    other = pq.read_table(tmp_path / "c" / "map.parquet")
    assert set(other["object_id"].to_pylist()) != set(table["object_id"].to_pylist())
    assert "data:image/webp" not in (tmp_path / "c" / "report.html").read_text()


def test_one_clear_line_for_what_is_no_map(
    survey: Path, tmp_path: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    write_embedded(few, tree, clouds(20)[0])
    bare = Path(write_catalogue(str(tmp_path / "bare"), tree, galaxies(tree, [("a", 1.0, 2.0)])))
    efigi = "tree=efigi"
    for catalogue, words, said in (
        (few / "catalogue", [], "20 galaxies for a map, expected at least 50"),
        (survey / "catalogue", ["galaxies=10"], "10 galaxies for a map, expected at least 50"),
        (bare, [], "has no embeddings"),
        (survey / "catalogue", [efigi], "column"),
        (tmp_path / "nothing", [], "nothing"),
        (survey / "catalogue", ["galaxies=1000000"], "galaxies"),
        (survey / "catalogue", ["seed=-1"], "seed"),
    ):
        assert run(catalogue, tmp_path / "out", *words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_gone_leave_a_map_without(
    tmp_path: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    write_embedded(tmp_path, tree, np.asarray(clouds(60)[0]), 5)
    (tmp_path / "shard.parquet").unlink()
    assert run(tmp_path / "catalogue", tmp_path / "out") == 0
    assert "No pictures of" in capsys.readouterr().out
    assert "data:image/webp" not in (tmp_path / "out" / "report.html").read_text()
