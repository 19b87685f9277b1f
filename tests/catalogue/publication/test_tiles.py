"""Tiles and digests, for any galaxies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pipeline.catalogue.publication.census import row_digests
from pipeline.catalogue.publication.tiles import assign_tiles, numbers_of

SKY = 12 * 4**29


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 4000),
    spread=st.sampled_from([1, 4**12, 4**20, SKY]),
)
@settings(deadline=None, max_examples=40)
def test_each_galaxy_is_in_one_tile_and_none_is_better_than_those_above(
    seed: int, count: int, spread: int
) -> None:
    rng = np.random.default_rng(seed)
    places = np.sort(rng.integers(0, spread, count))
    ranks = rng.choice([0.1, 0.5, 0.9, np.nan], count).astype(np.float32)
    digests = rng.integers(0, 2**63, count).astype(np.uint64)
    orders = np.zeros(count, np.uint8)
    tiles = assign_tiles(places, ranks, digests, orders)
    assert (orders > 0).all()
    assert sum(tile.rows for tile in tiles) == count
    numbers = numbers_of(places, orders)
    assert sorted(set(numbers.tolist())) == sorted(tile.number for tile in tiles)
    worth = np.where(np.isnan(ranks), -1, ranks)
    for tile in tiles:
        mine = numbers == tile.number
        within = places >> 2 * (29 - tile.order) == tile.pixel
        assert mine.sum() == tile.rows
        assert within.sum() == tile.within
        assert (within & (orders <= tile.order)).sum() == tile.shown
        assert int(np.add.reduce(digests[mine], dtype=np.uint64)) == tile.digest
        deeper = within & (orders > tile.order)
        if deeper.any():
            assert worth[mine].min() >= worth[deeper].max()
            assert tile.rows == (64 if tile.order < 3 else 500)


@given(values=st_numpy.arrays(np.float32, st.integers(1, 20)), row=st.integers(0, 19))
def test_a_digest_changes_with_any_value(values: np.ndarray, row: int) -> None:
    row %= len(values)
    ids = [f"g{i}" for i in range(len(values))]
    before = row_digests(pa.table({"id": ids, "x": values, "n": pa.nulls(len(ids), pa.string())}))
    other = values.copy()
    other.view(np.uint32)[row] ^= 1
    after = row_digests(pa.table({"id": ids, "x": other, "n": pa.nulls(len(ids), pa.string())}))
    assert np.flatnonzero(before != after).tolist() == [row]
    renamed = pa.table({"id": ids, "x": values, "n": pa.array([*([None] * (len(ids) - 1)), ""], pa.string())})
    assert np.flatnonzero(row_digests(renamed) != before).tolist() == [len(ids) - 1]
