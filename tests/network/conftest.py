"""One thread for these tests: the networks are small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.tree import DecisionTree, load_tree


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tree() -> DecisionTree:
    return load_tree()
