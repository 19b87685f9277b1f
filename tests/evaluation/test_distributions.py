from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.distributions import CatalogueCounts, HistogramCounter, round_ticks
from pipeline.evaluation.overview import read_catalogue
from tests.support.catalogues import TREE, catalogue, saying


def counted(p: np.ndarray) -> CatalogueCounts:
    return read_catalogue(TREE, [catalogue(p)])[0]


def test_classes_are_counted_in_the_trees_order() -> None:
    round_one = saying(smooth_or_featured="smooth", how_rounded="round")
    artifact = saying(smooth_or_featured="artifact")
    found = counted(np.array([round_one, artifact, round_one])).classes
    counts = dict(zip([c.name for c in TREE.classes], found, strict=False))
    assert (counts["Round elliptical"], counts["Star or artifact"], sum(counts.values())) == (2, 1, 3)


def test_mean_answers_weigh_galaxies_by_how_likely_the_question_was() -> None:
    asked = saying(smooth_or_featured="featured_or_disk", disk_edge_on="yes")
    seldom = saying(smooth_or_featured="smooth", disk_edge_on="no")
    means = counted(np.array([asked, seldom])).means["disk_edge_on"]
    assert means.asked == pytest.approx((0.9 + 0.05) / 2)
    assert means.shares == pytest.approx(((0.81 + 0.005) / 0.95, (0.09 + 0.045) / 0.95))


def test_a_question_never_asked_has_no_shares() -> None:
    p = np.zeros((1, TREE.answer_count))
    p[0, 0] = 1.0
    assert counted(p).means["bar"].shares == ()


def test_null_agreements_are_left_out() -> None:
    assert sum(counted(np.array([saying(), np.zeros(TREE.answer_count)])).agreement.counts) == 1


def test_histogram_holds_both_ends() -> None:
    counter = HistogramCounter()
    counter.add(np.array([0.0, 1.0, 0.5, np.nan]))
    found = counter.histogram()
    assert (found.counts[0], found.counts[-1], sum(found.counts)) == (1, 1, 3)
    assert found.median == 0.5


@given(st.lists(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=20), max_size=4))
def test_a_histogram_counted_in_pieces_is_that_of_the_whole(pieces: list[list[float]]) -> None:
    counter = HistogramCounter()
    for piece in pieces:
        counter.add(np.array(piece, np.float64))
    found = counter.histogram()
    known = np.array([value for piece in pieces for value in piece if value == value])
    assert found.counts == tuple(np.histogram(known, 20, (0, 1))[0])
    if len(known):
        assert found.median == pytest.approx(np.median(known), abs=0.51e-4)
    else:
        assert found.median is None


@given(st.integers(0, 10**9))
def test_ticks_are_few_and_cover_the_data(largest: int) -> None:
    ticks = round_ticks(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= max(largest, 1)
    assert 2 <= len(ticks) <= 6
