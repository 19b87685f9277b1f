"""A taste learns from few ratings what to look at, and ranks as scikit-learn would, in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.representations.gathering import decoded, diverse
from pipeline.representations.oddity import oddity
from pipeline.representations.taste import Taste, learn_taste
from tests.support.embedded import clouds

VECTORS, RARE = clouds(20_000)


@pytest.fixture(scope="module")
def taste() -> Taste:
    learnt = learn_taste(VECTORS[:60], np.where(RARE[:60], 5.0, 1.0))
    assert learnt is not None
    return learnt


def test_what_is_expected_is_what_the_process_says_block_by_block(taste: Taste) -> None:
    expected = taste._process.predict(decoded(VECTORS).astype(np.float64))
    np.testing.assert_allclose(taste(VECTORS), expected, atol=1e-3)


def test_the_rare_kind_is_ranked_first(taste: Taste) -> None:
    order = np.argsort(-taste(VECTORS))
    assert RARE[order[:1000]].mean() > 0.8
    assert RARE[np.argsort(-taste.improvement(VECTORS))[:100]].mean() > 0.5


def test_a_rating_is_expected_from_the_others_as_if_learnt_anew(taste: Taste) -> None:
    others = np.arange(60) != 7
    process = taste._process
    mean, spread = process._y_train_mean, process._y_train_std
    kernel = process.kernel_(process.X_train_[others])
    toward = process.kernel_(process.X_train_[7:8], process.X_train_[others])
    scaled = (taste.ratings[others] - mean) / spread
    anew = (toward @ np.linalg.solve(kernel + process.alpha * np.eye(59), scaled))[0] * spread + mean
    np.testing.assert_allclose(taste.left_out[7], anew, atol=1e-6)


@pytest.mark.parametrize("ratings", [[], [1.0, 2.0, 3.0], [2.0] * 30])
def test_too_few_ratings_and_equal_ones_teach_nothing(ratings: list[float]) -> None:
    assert learn_taste(VECTORS[: len(ratings)], np.array(ratings)) is None


def test_what_lies_apart_is_odd() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 10, (2_000, 64)).astype(np.int8)
    vectors[:5] += 70
    assert set(np.argsort(-oddity(vectors)(vectors))[:5]) == set(range(5))


def test_oddity_is_the_mean_distance_from_the_nearest_drawn() -> None:
    sample, others = VECTORS[:5_000], VECTORS[5_000:15_000]
    rng = np.random.default_rng(3)
    drawn = [decoded(sample[rng.permutation(5_000)[:32]]).astype(np.float64) for _ in range(8)]
    values = decoded(others).astype(np.float64)
    near = [np.linalg.norm(values[:, None] - points, axis=2).min(axis=1) for points in drawn]
    np.testing.assert_allclose(oddity(sample, 3)(others), np.mean(near, axis=0), rtol=1e-6)


def test_a_galaxy_is_not_compared_with_itself() -> None:
    few = VECTORS[:20]
    values = decoded(few).astype(np.float64)
    apart = np.linalg.norm(values[:, None] - values, axis=2) + np.diag(np.full(20, np.inf))
    np.testing.assert_allclose(oddity(few)(few), apart.min(axis=1), rtol=1e-6)


def test_the_same_vectors_again_and_again_are_not_odd() -> None:
    same = np.repeat(VECTORS[:1], 100, axis=0)
    assert not oddity(same)(same).any()
    assert (oddity(same)(VECTORS[1:5]) > 0).all()
    assert not oddity(VECTORS[:1])(VECTORS[:1]).any()


def test_diverse_rows_differ() -> None:
    kinds = np.eye(64, dtype=np.int8)[np.repeat(np.arange(5), 40)] * 100
    assert set(diverse(kinds, 5) // 40) == set(range(5))
    assert len(diverse(kinds[:3], 10)) == 3
