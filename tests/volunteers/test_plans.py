"""The best plan of votes to come."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.volunteers.plans import best_plan

PRIORS = st.floats(0.2, 20)


def textbook(first: float, second: float, lead: int, left: int, price: float) -> tuple[float, float, float]:
    """Probability to be ahead, value and votes of the best plan, by going through all that can happen."""

    @cache
    def after(to_first: int, to_second: int) -> tuple[float, float, float]:
        if to_first + to_second == left:
            ahead = 0.5 + 0.5 * np.sign(lead + to_first - to_second)
            return ahead, max(ahead, 1 - ahead), 0.0
        chance = (first + to_first) / (first + second + to_first + to_second)
        yes, no = after(to_first + 1, to_second), after(to_first, to_second + 1)
        ahead, value, votes = (chance * a + (1 - chance) * b for a, b in zip(yes, no, strict=True))
        if value - price > max(ahead, 1 - ahead):
            return ahead, value - price, 1 + votes
        return ahead, max(ahead, 1 - ahead), 0.0

    return after(0, 0)


@given(PRIORS, PRIORS, st.integers(-6, 6), st.integers(1, 9), st.floats(1e-4, 0.1))
@settings(deadline=None, max_examples=60)
def test_it_is_what_going_through_all_cases_finds(
    first: float, second: float, lead: int, left: int, price: float
) -> None:
    ahead, value, votes = textbook(first, second, lead, left, price)
    plan = best_plan([first, 9.0], [second, 2.0], [lead, 0], [left, 3], [price, price])
    assert plan.ahead[0] == pytest.approx(ahead, abs=1e-9)
    assert plan.votes[0] == pytest.approx(votes, abs=1e-9)
    right = max(ahead, 1 - ahead)
    assert plan.gain[0] * votes == pytest.approx(value + price * votes - right if votes else 0, abs=1e-9)
    assert plan.gain[0] == 0 or plan.gain[0] > price


def test_dearer_votes_are_fewer_and_none_left_are_none() -> None:
    prices = np.geomspace(1e-4, 0.2, 12)
    same = np.ones(len(prices))
    votes = best_plan(2 * same, 1.5 * same, 0 * same, [40] * len(prices), prices).votes
    assert (np.diff(votes) <= 1e-9).all()
    assert votes[0] > 10 > votes[-1] == 0
    spent = best_plan([30.0], [10.0], [20], [0], [0.001])
    assert spent.votes[0] == spent.gain[0] == 0
    assert spent.ahead[0] > 0.99
