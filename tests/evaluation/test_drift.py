from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from pipeline.evaluation.drift import COARSE, FINE, Drift, probability_moved
from pipeline.tree import load_tree
from tests.support.catalogues import random_probabilities, saying

TREE = load_tree()


def drift_of(before: np.ndarray, after: np.ndarray, pieces: int = 1) -> Drift:
    drift = Drift(TREE)
    for p, q in zip(np.array_split(before, pieces), np.array_split(after, pieces), strict=True):
        drift.add(p, q, np.zeros(len(p), int), np.ones(len(q), int))
    return drift


def test_distances_are_those_of_scipy() -> None:
    before, after = random_probabilities(400, 1), random_probabilities(400, 2)
    after[:, 0] = np.clip(after[:, 0] + 0.2, 0, 1)
    for column, shift in enumerate(drift_of(before, after, 7).shifts()):
        p, q = (np.minimum(np.floor(side[:, column] * FINE), FINE - 1) for side in (before, after))
        assert shift.kolmogorov_smirnov == pytest.approx(ks_2samp(p, q).statistic, abs=1e-12)
        whole = ks_2samp(before[:, column], after[:, column]).statistic
        assert shift.kolmogorov_smirnov <= whole + 1e-12
        counts = [np.histogram(side, np.linspace(0, FINE, COARSE + 1))[0] for side in (p, q)]
        assert shift.jensen_shannon == pytest.approx(jensenshannon(*counts, base=2), abs=1e-9)
        assert shift.difference == pytest.approx((after - before)[:, column].mean())


def test_nothing_moved_is_zero_and_all_moved_is_one() -> None:
    p = random_probabilities(50)
    assert all(s.kolmogorov_smirnov == s.jensen_shannon == s.difference == 0 for s in drift_of(p, p).shifts())
    low, high = np.zeros((9, TREE.answer_count)), np.ones((9, TREE.answer_count))
    for shift in drift_of(low, high).shifts():
        found = (shift.difference, shift.kolmogorov_smirnov, shift.jensen_shannon)
        assert found == pytest.approx((1, 1, 1))
    assert drift_of(low, high).changed_class == 9
    assert Drift(TREE).shifts() == []


def test_classes_are_counted_before_by_after() -> None:
    drift, p = Drift(TREE), random_probabilities(5)
    none = len(TREE.classes)
    drift.add(p, p, [0, 0, 1, none, none], [0, 2, 1, 0, none])
    assert drift.classes[0].tolist()[:3] == [1, 0, 1]
    assert (drift.classes[none, 0], drift.classes[none, none], drift.changed_class) == (1, 1, 2)


def test_the_probability_that_moved_is_where_most_did() -> None:
    smooth = saying(smooth_or_featured="smooth")
    features = saying(smooth_or_featured="featured_or_disk")
    moved = probability_moved(TREE, [smooth, smooth], [smooth, features])
    assert moved == pytest.approx([0, 0.85], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), other=st.integers(0, 1000))
def test_the_probability_that_moved_is_a_distance(seed: int, other: int) -> None:
    p, q = random_probabilities(4, seed), random_probabilities(4, other)
    moved = probability_moved(TREE, p, q)
    assert moved == pytest.approx(probability_moved(TREE, q, p))
    assert ((moved >= 0) & (moved <= 1 + 1e-9)).all()
    question = TREE.slices[TREE.questions[0].key]
    assert (moved >= np.abs(p - q)[:, question].max(axis=1) - 1e-9).all()
