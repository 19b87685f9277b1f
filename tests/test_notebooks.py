"""The notebooks run, from the first cell to the last, on what the wheel installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.tree import DecisionTree
from tests.support.outputs import make_output

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_holds_no_output(path: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(path))


@pytest.mark.long
def test_three_lines(wheel: Path, tree: DecisionTree, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    layout, _ = make_output(tmp_path / "made", tree)
    shutil.copytree(Path(layout.output, "catalogue"), tmp_path / "out" / "hubble" / "catalogue")
    (path,) = [path for path in NOTEBOOKS if path.stem == "three_lines"]
    source = "\n".join("".join(cell["source"]) for cell in code_cells(path))
    checks = f"""
import sys, tuningfork
assert tuningfork.__file__.startswith({str(tmp_path)!r})
assert "ray" not in sys.modules
assert answers["smooth_or_featured_answer"].tolist()[0] == "featured_or_disk"
assert answers["has_spiral_arms_yes"][0] > 0.9
assert len(answers) == len(axes) == 5
assert len(catalogue) == len(bars) == 21
assert len(spirals) < 21 and list(spirals.columns) == columns
"""
    done = subprocess.run(
        [sys.executable, "-c", source + checks],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
