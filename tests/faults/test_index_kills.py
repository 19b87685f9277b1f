"""A build of an index that is killed anywhere ends complete when the command is given again."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from pipeline.representations.index import read_manifest
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.faults.harness import running
from tests.representations.test_index import sky


def files(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.rglob("*.faiss")}


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_killed_build_is_continued(tree: DecisionTree, tmp_path: Path, kills: int) -> None:
    write_catalogue(str(tmp_path / "c"), tree, sky(tree, 20_000))
    with running(["index", "c", "output=quiet"], tmp_path) as run:
        started = time.monotonic()
        assert run.wait() == 0, run.text()
        took = time.monotonic() - started
    seed = random.Random(4)
    for _ in range(kills):
        with running(["index", "c", "output=killed"], tmp_path) as run:
            time.sleep(seed.uniform(0.3, 1) * took)
            run.process.kill()
            run.wait()
        assert read_manifest(str(tmp_path / "killed")) in (None, read_manifest(str(tmp_path / "quiet")))
    with running(["index", "c", "output=killed"], tmp_path) as run:
        assert run.wait() == 0, run.text()
    assert read_manifest(str(tmp_path / "killed")) == read_manifest(str(tmp_path / "quiet"))
    assert files(tmp_path / "killed") == files(tmp_path / "quiet")
    assert len(files(tmp_path / "quiet")) == 13
