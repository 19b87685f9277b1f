"""What can be asked of a generator: fractions that a tree allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.generation.asking import asked_votes, parse_votes
from pipeline.network import TreeOutput
from pipeline.tree import load_tree

TREE = load_tree()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not of the form ANSWER=FRACTION"),
        ("bar_yes", "'bar_yes' is not of the form"),
        ("odd_feature_dustlane=0.8", "did you mean 'odd_feature_dust_lane'?"),
        ("spam=0.8", "known answers: smooth_or_featured_smooth"),
        ("bar_yes=0.8,bar_yes=0.8", "given twice"),
        ("bar_yes=1.2", "expected a fraction from 0 to 1"),
        ("bar_yes=nan", "expected a fraction from 0 to 1"),
        ("bar_yes=much", "bar_yes='much'; expected"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_votes(text, TREE)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("asked", "culprits"),
    [
        ("bar_yes=0.7,bar_no=0.7", "bar_yes=0.7 and bar_no=0.7"),
        (
            "odd_feature_ring=0.1,something_odd_yes=0.2,odd_feature_dust_lane=0.8",
            "something_odd_yes=0.2 and odd_feature_dust_lane=0.8",
        ),
        ("something_odd_yes=0.9,something_odd_no=0.3", "something_odd_yes=0.9 and something_odd_no=0.3"),
        (
            "smooth_or_featured_smooth=0.6,has_spiral_arms_yes=0.5",
            "smooth_or_featured_smooth=0.6 and has_spiral_arms_yes=0.5",
        ),
    ],
)
def test_what_contradicts_itself_is_named_and_nothing_else(asked: str, culprits: str) -> None:
    with pytest.raises(InputError, match=f"no galaxy can have {culprits};"):
        asked_votes(parse_votes(asked, TREE), TREE)


def test_what_follows_is_asked_too_and_the_rest_is_open() -> None:
    votes = asked_votes(parse_votes("odd_feature_dust_lane=1, disk_edge_on_yes=0.75", TREE), TREE)
    told = dict(zip(TREE.columns, votes.tolist(), strict=True))
    assert told["something_odd_yes"] == 1
    assert told["something_odd_no"] == told["odd_feature_ring"] == 0
    assert told["disk_edge_on_yes"] == 0.75
    assert np.isnan(told["smooth_or_featured_smooth"])
    assert np.isnan(told["bulge_shape_boxy"])


def test_votes_that_were_rounded_are_taken_as_they_are() -> None:
    votes = asked_votes({"something_odd_yes": 0.333, "something_odd_no": 0.66}, TREE)
    assert votes[TREE.columns.index("something_odd_no")] == np.float32(0.66)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**31), st.sets(st.integers(0, 36), min_size=1, max_size=8))
def test_fractions_of_a_galaxy_that_there_could_be_never_contradict(seed: int, columns: set[int]) -> None:
    import torch

    raw = torch.randn(1, 37, generator=torch.Generator().manual_seed(seed)).exp()
    real = TreeOutput(TREE)(raw)[0].double().numpy()
    votes = asked_votes({TREE.columns[column]: float(real[column]) for column in columns}, TREE)
    known = ~np.isnan(votes)
    assert known[sorted(columns)].all()
    np.testing.assert_allclose(votes[known], real[known], atol=1e-4)
