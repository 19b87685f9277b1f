"""The how-to on stacking: its commands run as they stand in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.cli import app
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import galaxies, write_catalogue
from tests.support.command import ROOT

PAGE = (ROOT / "docs" / "how-to" / "stack.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_stacks_two_catalogues(
    tree: DecisionTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = galaxies(tree, [(f"g{i}", float(i), 0.0) for i in range(10)])
    write_catalogue(str(tmp_path / "out" / "mine" / "catalogue"), tree, rows)
    pd.DataFrame(
        {
            "iauname": ["J0001", "J0002"],
            "ra": [1.0, 2.0],
            "dec": [0.0, 0.0],
            "smooth-or-featured_smooth_fraction": np.array([0.9, 0.7], np.float32),
            "bar_strong_fraction": np.array([0.3, 0.0], np.float32),
            "bar_no_fraction": np.array([0.4, np.nan], np.float32),
        }
    ).to_parquet("gz_decals_auto_posteriors.parquet")
    program, *words = shlex.split(block("sh"))
    assert program == ".venv/bin/tuningfork"
    app(words, standalone_mode=False)
    code = block("python")
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) == 5
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["stacked"]) == 12
    assert names["shared"] == ["smooth-or-featured_smooth_fraction", "bar_no_fraction"]
    assert names["stacked"]["catalogue"].value_counts().to_dict() == {"ours": 10, "GZ DECaLS": 2}
    assert "J0001" in names["barred"]["iauname"].tolist()
