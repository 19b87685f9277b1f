from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.catalogue import classes as reading
from pipeline.catalogue.classes import read_classes, steps_to_class
from pipeline.errors import InputError
from pipeline.evaluation.examples import choose_galaxies, fair_shares
from pipeline.tree import morphology_class, most_probable_path
from tests.support.catalogues import TREE, catalogue, consistent, random_probabilities, saying

NAMES = [named.name for named in TREE.classes]


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (6, TREE.answer_count), elements=st.sampled_from([1e-9, 0.2, 0.5, 1.0, 3.0])))
def test_a_batch_reads_as_each_row_does(choices: np.ndarray) -> None:
    table = catalogue(consistent(TREE, choices))
    found = read_classes(TREE, table)
    p = np.column_stack([table[c].to_numpy() for c in TREE.columns])
    for row in range(len(p)):
        steps = most_probable_path(TREE, p[row])
        named = morphology_class(TREE, steps)
        assert found.classes[row] == (len(NAMES) if named is None else TREE.classes.index(named))
        product = np.prod([s.probability for s in steps[: steps_to_class(named, steps)]])
        assert found.confidence[row] == pytest.approx(product, abs=1e-12)


def test_confidence_stops_at_the_answer_that_decides() -> None:
    spiral = saying(
        smooth_or_featured="featured_or_disk",
        disk_edge_on="no",
        bar="no",
        has_spiral_arms="yes",
    )
    found = read_classes(TREE, catalogue(spiral))
    assert NAMES[found.classes[0]] == "Spiral"
    assert found.confidence[0] == pytest.approx(0.9**4, rel=1e-5)


def test_a_galaxy_without_probabilities_has_no_class_and_no_confidence() -> None:
    found = read_classes(TREE, catalogue(np.zeros((1, TREE.answer_count))))
    assert found.classes.tolist() == [len(NAMES)]
    assert found.confidence.tolist() == [0.0]


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    table = catalogue(random_probabilities(50))
    whole = read_classes(TREE, table)
    monkeypatch.setattr(reading, "BATCH_ROWS", 7)
    parts = read_classes(TREE, table)
    assert np.array_equal(whole.classes, parts.classes)
    assert np.array_equal(whole.confidence, parts.confidence)


def test_a_missing_column_is_named() -> None:
    table = catalogue(random_probabilities(2)).drop_columns(["bar_yes"])
    with pytest.raises(InputError, match="no column bar_yes"):
        read_classes(TREE, table)


def test_few_galaxies_are_all_chosen_most_confident_first_in_each_class() -> None:
    table = catalogue(random_probabilities(60))
    chosen = choose_galaxies(TREE, table, limit=60)
    assert sorted(chosen["object_id"].to_pylist()) == table["object_id"].to_pylist()
    found = read_classes(TREE, chosen)
    for one, two in zip(range(59), range(1, 60), strict=True):
        assert (found.classes[one], -found.confidence[one]) <= (found.classes[two], -found.confidence[two])


def test_many_galaxies_are_shared_fairly_and_the_most_confident_of_each_class_kept() -> None:
    table = catalogue(random_probabilities(400))
    before, chosen = read_classes(TREE, table), choose_galaxies(TREE, table, limit=40)
    after = read_classes(TREE, chosen)
    assert len(chosen) == 40
    for index in np.unique(before.classes):
        kept = np.sort(after.confidence[after.classes == index])[::-1]
        there = np.sort(before.confidence[before.classes == index])[::-1]
        assert len(kept) >= min(len(there), 40 // len(NAMES))
        assert np.array_equal(kept, there[: len(kept)])


def test_an_empty_catalogue_has_nothing_to_choose() -> None:
    table = catalogue(np.zeros((0, TREE.answer_count)))
    chosen = choose_galaxies(TREE, table)
    assert len(chosen) == 0
    assert chosen.schema == table.schema


def test_at_least_one_galaxy_is_asked_for() -> None:
    with pytest.raises(InputError, match="at most 0"):
        choose_galaxies(TREE, catalogue(random_probabilities(2)), limit=0)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(1, 120))
def test_shares_are_fair(sizes: list[int], total: int) -> None:
    shares = fair_shares(sizes, total)
    assert sum(shares) == min(total, sum(sizes))
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    cut = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    assert not cut or max(shares) - min(cut) <= 1
