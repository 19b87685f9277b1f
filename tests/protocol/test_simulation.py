"""The protocol in simulated histories: all invariants hold, and without any guard one of them breaks."""

from __future__ import annotations

import pytest

from tests.protocol.mutants import MUTANTS
from tests.protocol.simulate import run_seeds, seeds_to_counterexample, simulate

SEEDS = 1_000
MOST_WITHOUT_A_GUARD = 40_000
RARE = {
    "vacuum's fence",
    "vacuum's fence before parts",
    "vacuum's look at the lease",
    "vacuum by the store's clock",
    "new run over a replaced one",
    "vacuum's lease",
    "epoch looked at, beside the lease",
}
"""Guards whose counterexample takes many histories."""


def test_no_history_loses_doubles_or_mixes_a_galaxy() -> None:
    run_seeds(range(SEEDS))


@pytest.mark.parametrize(
    "guard", [pytest.param(guard, marks=[pytest.mark.long] * (guard in RARE)) for guard in MUTANTS]
)
def test_every_guard_is_needed(guard: str) -> None:
    assert seeds_to_counterexample(guard, MOST_WITHOUT_A_GUARD) is not None


def test_a_history_follows_from_its_seed() -> None:
    assert simulate(7).history == simulate(7).history
