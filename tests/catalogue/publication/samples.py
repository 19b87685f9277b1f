"""Publications for the tests: who made them, and what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.catalogue.export import open_snapshot
from pipeline.catalogue.publication import About, Creator, Published, Shape, publish
from pipeline.catalogue.snapshot import Progress, silent
from pipeline.tree import DecisionTree

ABOUT = About(
    title="Morphologies of nearby galaxies",
    creators=(
        Creator(name="Müller, Ana", orcid="0000-0002-1825-0097", affiliation="Observatorio del Teide"),
        Creator(name="The Example Collaboration"),
    ),
    licence="CC-BY-4.0",
    doi="10.5281/zenodo.1234567",
)


@contextlib.contextmanager
def unseen(label: str, total: int) -> Iterator[Progress]:
    """A stage that nobody watches."""
    yield silent


def published(
    catalogue: str, out: Path | str, tree: DecisionTree, about: About = ABOUT, **shape: Any
) -> Published:
    return publish(open_snapshot(catalogue, tree), str(out), tree, about, unseen, Shape(**shape))


def current(out: Path) -> Path:
    """The folder of the current edition."""
    return out / str(json.loads((out / "current.json").read_text())["folder"])


def assert_whole(out: Path) -> dict[str, Any]:
    """Each file of the current edition is as its manifest says, and there are no others; the manifest."""
    pointer, folder = json.loads((out / "current.json").read_text()), current(out)
    data = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == pointer["manifest_sha256"]
    manifest: dict[str, Any] = json.loads(data)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "manifest.json"}
    for name, said in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (said["size"], said["sha256"]), name
    return manifest


def tile(path: Path) -> pd.DataFrame:
    """The rows of a tile, as a viewer reads them: the second line names the columns."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("# Completeness = ")
    assert lines[-1] == ""
    text = "\n".join(lines[1:])
    names = lines[1].split("\t")
    texts = {name: str for name in names if name in ("object_id", "stale") or name.endswith("_answer")}
    return pd.read_csv(io.StringIO(text), sep="\t", quoting=3, dtype=texts, keep_default_na=True)


def tiles(hips: Path) -> list[Path]:
    return sorted(hips.glob("Norder*/Dir*/Npix*.tsv"))
