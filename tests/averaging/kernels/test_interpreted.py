"""The tests in `interpreted/`, in a process in which Triton interprets kernels, or which has a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

FOLDER = Path(__file__).parent / "interpreted"


def test_kernels() -> None:
    interpret()


@pytest.mark.long
def test_kernels_of_every_other_shape() -> None:
    interpret("-m", "long")


def interpret(*words: str) -> None:
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--durations=0"]
    done = subprocess.run(
        [*command, str(FOLDER), *words], env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
