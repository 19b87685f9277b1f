"""What ``precision=auto`` comes to in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from pipeline.averaging import fastest_precision
from pipeline.run.precision import automatic_precision
from pipeline.run.settings import StreamConfig
from pipeline.tree import DecisionTree


@pytest.mark.parametrize(("device", "expected"), [("gpu", "float16"), ("cpu", fastest_precision("cpu"))])
def test_it_goes_by_where_the_run_computes(
    device: Literal["cpu", "gpu"], expected: str, tmp_path: Path, tree: DecisionTree
) -> None:
    config = StreamConfig(input=str(tmp_path), output=str(tmp_path / "out"), device=device)
    assert automatic_precision(config, tree) == expected
