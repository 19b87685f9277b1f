"""What a run's fingerprint holds of code and libraries: changed copies of the pipeline, in real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT

PLANNED = (
    "import json; from pipeline.protocol import PlannedShard, make_plan; "
    "print(json.dumps(make_plan([PlannedShard(uri='a', size=1, etag='e', rows=3)], 2, {}).fingerprint))"
)


def fingerprint(*folders: Path) -> dict[str, str]:
    """The fingerprint that the pipeline in the first of some folders gives a run; all are on the path."""
    path = ":".join(map(str, folders))
    done = subprocess.run(
        [sys.executable, "-c", PLANNED],
        cwd=folders[0],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def pristine() -> dict[str, str]:
    return fingerprint(ROOT)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the pipeline."""
    without = shutil.ignore_patterns("__pycache__")
    for name in ("pipeline", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    "module", ["catalogue/export/votable.py", "network/features.py", "images/recentre.py"]
)
def test_a_comment_or_a_docstring_is_no_other_code(copy: Path, pristine: dict[str, str], module: str) -> None:
    path = copy / "pipeline" / module
    path.write_text('"""Said otherwise.' + path.read_text().removeprefix('"""') + "# And a comment.\n")
    assert fingerprint(copy) == pristine


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("images/frame.py", "self.factor * size", "self.factor * size * 1.01"),
        ("images/recentre.py", "_MOST_ZOOM = 1.5", "_MOST_ZOOM = 1.4"),
        ("images/petrosian.py", "PETROSIAN_RATIO = 0.2", "PETROSIAN_RATIO = 0.25"),
        (
            "averaging/single.py",
            "torch.stack([answers for answers, _ in each]).mean(0)",
            "torch.stack([answers for answers, _ in each]).median(0).values",
        ),
    ],
)
def test_a_change_of_what_decides_answers_makes_other_numerics(
    copy: Path, pristine: dict[str, str], module: str, old: str, new: str
) -> None:
    replace(copy / "pipeline" / module, old, new)
    changed = fingerprint(copy)
    assert [part for part in pristine if pristine[part] != changed[part]] == ["numerics"]


def install(folder: Path, library: str, version: str) -> Path:
    """A folder in which a library's metadata tell some version."""
    metadata = folder / f"{library}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n")
    return folder


def test_a_library_that_decides_answers_counts_by_its_minor_version(
    tmp_path: Path, pristine: dict[str, str]
) -> None:
    older = fingerprint(ROOT, install(tmp_path / "older", "sep", "0.9.5"))["numerics"]
    patched = fingerprint(ROOT, install(tmp_path / "patched", "sep", "0.9.6"))["numerics"]
    unrelated = fingerprint(ROOT, install(tmp_path / "unrelated", "matplotlib", "0.9"))["numerics"]
    assert older == patched
    assert older != pristine["numerics"]
    assert "sep 0.9" in older
    assert unrelated == pristine["numerics"]
