"""Every variant compiles for a Hopper GPU, without one, and keeps within it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import CONFIGS

pytest.importorskip("triton")


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("network", ["maxout2048_extradense", "8433n_maxout2048", "shareddense512", "bigger"])
def test_every_variant_compiles_without_spilling(network: str, dtype: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.averaging.kernels.compiling"]
    path = str(Path(CONFIGS, "networks", f"{network}.yaml"))
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*program, path, dtype], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    compiled = json.loads(done.stdout)
    assert len(compiled) > 15
    for name, taken in compiled.items():
        assert taken["REG"] <= 255, name
        # In a reflected place there is none; anywhere else it would hide what overflowed.
        assert name.startswith("sampling") or not taken["maxima_without_nan"], name
        assert "through L1" not in name or taken["ca"] >= taken.get("cg", 0), name
        assert taken["STACK"] == taken["LOCAL"] == 0, f"{name} spills registers"
