"""A build of an index that is killed in the middle ends complete when the command is given again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.representations.index import read_manifest
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.faults.harness import running
from tests.representations.test_index import sky
from tests.support.command import tuningfork_here


def files(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.rglob("*.faiss")}


def build(folder: Path, output: str) -> None:
    done = tuningfork_here("index", "c", f"output={output}", cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_killed_build_is_continued(tree: DecisionTree, tmp_path: Path, kills: int) -> None:
    write_catalogue(str(tmp_path / "c"), tree, sky(tree, 20_000))
    build(tmp_path, "quiet")
    for kill in range(kills):
        with running(["index", "c", "output=killed"], tmp_path) as run:
            while len(files(tmp_path / "killed")) <= kill:
                assert run.process.poll() is None, run.text()
                time.sleep(0.02)
            run.process.kill()
            run.wait()
        assert read_manifest(str(tmp_path / "killed")) in (None, read_manifest(str(tmp_path / "quiet")))
    build(tmp_path, "killed")
    assert read_manifest(str(tmp_path / "killed")) == read_manifest(str(tmp_path / "quiet"))
    assert files(tmp_path / "killed") == files(tmp_path / "quiet")
    assert len(files(tmp_path / "quiet")) == 13
