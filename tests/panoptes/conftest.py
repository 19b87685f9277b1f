"""A Panoptes for a file of tests, empty at each one's beginning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.panoptes import Panoptes, panoptes


@pytest.fixture(scope="module")
def _started() -> Iterator[Panoptes]:
    with panoptes() as started:
        yield started


@pytest.fixture
def server(_started: Panoptes, monkeypatch: pytest.MonkeyPatch) -> Panoptes:
    """A server with nothing in it, and the environment in which this process finds it and nothing else."""
    _started.behave(forget=True)
    for name, value in _started.environment().items():
        monkeypatch.setenv(name, value)
    return _started
