"""Kernels as they run: on the GPU where there is one, else in Triton's interpreter.

Triton either interprets or compiles in a process, so that these tests have one of their own, which
`test_interpreted.py` starts; elsewhere they aren't collected.
"""

from __future__ import annotations

import os

import pytest
import torch

from pipeline.averaging import use_precision
from pipeline.tree import DecisionTree, load_tree

if os.environ.get("TRITON_INTERPRET") != "1" and not torch.cuda.is_available():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where kernels run here."""
    use_precision("float16")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session")
def tree() -> DecisionTree:
    """The decision tree of Galaxy Zoo 2; these tests do without what others need, for machines with GPUs."""
    return load_tree()
