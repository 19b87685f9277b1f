"""The tests in `interpreted/`, each file in a process in which Triton interprets kernels, or has a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

FOLDER = Path(__file__).parent / "interpreted"


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("test_*.py")))
def test_kernels(file: str) -> None:
    interpret(file)


@pytest.mark.long
def test_networks_of_every_other_kind() -> None:
    interpret("test_networks_in_kernels.py", "-m", "long")


def interpret(file: str, *words: str) -> None:
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--durations=0"]
    done = subprocess.run(
        [*command, str(FOLDER / file), *words], env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
