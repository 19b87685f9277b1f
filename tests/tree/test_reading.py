"""Agreement, the most probable path and the class of a galaxy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree import DecisionTree, agreement, morphology_class, most_probable_path


def vector(tree: DecisionTree, **probabilities: float) -> np.ndarray:
    columns = dict.fromkeys(tree.columns, 0.0) | probabilities
    assert len(columns) == 37
    return np.array(list(columns.values()))


def test_agreement_of_a_certain_a_split_and_an_unasked_question() -> None:
    rows: list[list[float]] = [
        [1, 0, 0, 0],
        [0, 0, 0.3, 0],
        [0.25] * 4,
        [0.01] * 4,
        [0.5, 0.5, 0, 0],
        [0, 0, 0, 0],
    ]
    with np.errstate(all="raise"):
        found = agreement(rows)
    np.testing.assert_allclose(found, [1, 1, 0, 0, 0.5, np.nan], atol=1e-12)


def test_agreement_by_hand() -> None:
    # H(1/2, 1/4, 1/4) = 3/2 bits of at most log2(3) = 1.5849625.
    assert agreement([0.4, 0.2, 0.2]) == pytest.approx(1 - 1.5 / 1.5849625007, abs=1e-9)


@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=7), st.floats(1e-6, 1))
def test_agreement_is_a_fraction_and_ignores_how_many_were_asked(p: list[float], asked: float) -> None:
    value = float(agreement(p))
    assert 0 <= value <= 1
    assert float(agreement(np.array(p) * asked)) == pytest.approx(value, abs=1e-9)


def test_a_path_follows_the_most_probable_answers_to_the_end(tree: DecisionTree) -> None:
    p = vector(
        tree,
        smooth_or_featured_smooth=0.2,
        smooth_or_featured_featured_or_disk=0.8,
        disk_edge_on_no=0.8,
        bar_yes=0.2,
        bar_no=0.6,
        has_spiral_arms_yes=0.7,
        has_spiral_arms_no=0.1,
        spiral_winding_tight=0.7,
        spiral_arm_count_2=0.7,
        bulge_size_obvious=0.8,
        something_odd_yes=0.1,
        something_odd_no=0.9,
        how_rounded_round=0.2,
    )
    steps = most_probable_path(tree, p)
    assert [f"{step.question.key}_{step.answer.key}" for step in steps] == [
        "smooth_or_featured_featured_or_disk",
        "disk_edge_on_no",
        "bar_no",
        "has_spiral_arms_yes",
        "spiral_winding_tight",
        "spiral_arm_count_2",
        "bulge_size_obvious",
        "something_odd_no",
    ]
    assert [step.probability for step in steps] == pytest.approx([0.8, 1, 0.75, 0.875, 1, 1, 1, 0.9])
    found = morphology_class(tree, steps)
    assert found is not None
    assert found.name == "Spiral"


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({"smooth_or_featured_artifact": 1.0}, "Star or artifact"),
        ({"smooth_or_featured_smooth": 1.0, "how_rounded_in_between": 1.0}, "Elongated elliptical"),
        ({"smooth_or_featured_featured_or_disk": 1.0, "disk_edge_on_yes": 1.0}, "Edge-on disk"),
        (
            {
                "smooth_or_featured_featured_or_disk": 1.0,
                "disk_edge_on_no": 1.0,
                "bar_yes": 1.0,
                "has_spiral_arms_yes": 1.0,
            },
            "Barred spiral",
        ),
    ],
)
def test_class_of_a_certain_galaxy(tree: DecisionTree, chosen: dict[str, float], name: str) -> None:
    found = morphology_class(tree, most_probable_path(tree, vector(tree, **chosen)))
    assert found is not None
    assert found.name == name


def test_answers_off_the_path_name_no_class(tree: DecisionTree) -> None:
    p = vector(tree, smooth_or_featured_smooth=0.6, disk_edge_on_yes=0.4)
    steps = most_probable_path(tree, p)
    assert [step.answer.key for step in steps] == ["smooth"]
    assert morphology_class(tree, steps) is None


def test_a_vector_of_zeros_has_no_path(tree: DecisionTree) -> None:
    assert most_probable_path(tree, np.zeros(37)) == []
    assert morphology_class(tree, []) is None
