"""The exact search: the same as by all cosines, however vectors are spread, and however they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.representations import search
from pipeline.representations.search import LEADING, Scan, cosines, direction


def vectors_like_embeddings(count: int, seed: int = 0) -> NDArray[np.int8]:
    """Numbers that fall off in variance, as those of a projection do."""
    spread = np.concatenate([np.full(8, 30.0), np.geomspace(26, 2, 56)])
    values = np.random.default_rng(seed).standard_normal((count, 64)) * spread
    return np.clip(np.rint(values), -127, 127).astype(np.int8)


def by_hand(vectors: NDArray[np.int8], wanted: NDArray[np.float64], count: int) -> list[int]:
    exact = vectors.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(exact, axis=1), 1)
    scores = np.round(exact @ wanted / lengths, 9)
    return np.lexsort([np.arange(len(vectors)), -scores])[:count].tolist()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK_ROWS", 256)


@given(
    count=st.integers(1, 1000),
    wanted=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 1000), max_size=4),
    spread=st.sampled_from(["embeddings", "even", "few", "zeros"]),
    seed=st.integers(0, 10),
)
@settings(max_examples=60)
def test_it_is_that_of_all_cosines(count: int, wanted: int, cuts: list[int], spread: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = {
        "embeddings": vectors_like_embeddings(count, seed),
        "even": rng.integers(-127, 128, (count, 64)).astype(np.int8),
        "few": vectors_like_embeddings(3, seed)[rng.integers(0, 3, count)],
        "zeros": np.zeros((count, 64), np.int8),
    }[spread]
    batches = np.split(vectors, sorted(cut % (count + 1) for cut in cuts))
    like, unlike = vectors[:2], vectors[-1:] if seed % 2 else None
    found = Scan(batches).nearest(direction(like, unlike), wanted)
    assert found.rows.tolist() == by_hand(vectors, direction(like, unlike), wanted)
    np.testing.assert_array_equal(found.cosines, cosines(vectors[found.rows], direction(like, unlike)))


def test_the_bound_spares_most_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = vectors_like_embeddings(50).repeat(400, axis=0)
    vectors = np.random.default_rng(1).permutation(kinds // 2 + vectors_like_embeddings(20_000) // 8)
    scan, read = Scan([vectors]), []

    def counted(some: NDArray[np.int8], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        read.append(len(some))
        return cosines(some, wanted)

    monkeypatch.setattr(search, "cosines", counted)
    scan.nearest(direction(vectors[:1]), 10)
    assert sum(read) < len(vectors) / 10


def test_a_galaxy_is_nearest_to_itself_and_several_examples_are_averaged() -> None:
    vectors = vectors_like_embeddings(500)
    found = Scan([vectors]).nearest(direction(vectors[7:8]), 5)
    assert found.rows[0] == 7
    assert found.cosines[0] == pytest.approx(1)
    units = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    like, unlike = [1, 2, 3], [4, 5]
    expected = (units @ units[like].T).mean(axis=1) - (units @ units[unlike].T).mean(axis=1)
    wanted = direction(vectors[like], vectors[unlike])
    np.testing.assert_allclose(cosines(vectors, wanted), expected, atol=1e-6)


def test_only_those_that_count_are_found() -> None:
    vectors = vectors_like_embeddings(1000)
    among = np.arange(1000) % 3 == 0
    found = Scan([vectors]).nearest(direction(vectors[1:2]), 20, among)
    assert len(found.rows) == 20
    kept = np.flatnonzero(among)
    assert found.rows.tolist() == kept[by_hand(vectors[kept], direction(vectors[1:2]), 20)].tolist()
    assert not len(Scan([vectors]).nearest(direction(vectors[:1]), 5, np.zeros(1000, bool)).rows)


def test_there_may_be_fewer_than_are_asked_for() -> None:
    vectors = vectors_like_embeddings(3)
    assert sorted(Scan([vectors]).nearest(direction(vectors[:1]), 10).rows) == [0, 1, 2]
    assert len(Scan([])) == 0
    assert Scan([]).nearest(np.ones(64), 10).rows.tolist() == []


def test_what_it_keeps_is_a_copy() -> None:
    vectors = vectors_like_embeddings(300)
    scan, wanted = Scan([vectors]), direction(vectors[:1])
    vectors[:] = 0
    assert scan.nearest(wanted, 1).cosines[0] == pytest.approx(1)
    assert LEADING < 64
