"""Reading ahead of use."""

from __future__ import annotations

import itertools
import time

import pytest

from pipeline import storage
from pipeline.errors import InputError


def test_reading_ahead_keeps_order_and_bounds() -> None:
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        time.sleep(0.002 if item % 3 else 0)
        if item == 50:
            raise InputError("fifty")
        return item * item

    results = storage.read_ahead(read, range(100))
    assert next(results) == 0
    assert len(begun) <= 16
    assert [*itertools.islice(results, 49)] == [item * item for item in range(1, 50)]
    with pytest.raises(InputError, match="fifty"):
        next(results)
    assert len(begun) <= 66
