"""The order of examples: each once a pass, whoever shows it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import Order

sizes = st.integers(1, 40)


@given(seed=st.integers(0, 9), galaxies=sizes, batch_size=sizes)
def test_every_pass_shows_each_galaxy_once(seed: int, galaxies: int, batch_size: int) -> None:
    order = Order(seed, galaxies, batch_size)
    shown = torch.cat([order.batch(start) for start in range(0, 3 * galaxies, batch_size)])
    for number in range(3):
        rows = shown[number * galaxies : (number + 1) * galaxies]
        assert sorted(rows.tolist()) == list(range(galaxies))


@given(galaxies=sizes, batch_size=sizes, world=st.integers(1, 8), start=st.integers(0, 1000))
def test_workers_share_a_batch_between_them(galaxies: int, batch_size: int, world: int, start: int) -> None:
    together = torch.cat(
        [
            (order := Order(0, galaxies, batch_size, rank, world)).batch(start)[order.part]
            for rank in range(world)
        ]
    )
    assert together.tolist() == Order(0, galaxies, batch_size).batch(start).tolist()


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(Order(seed, 50, 50).batch(start).tolist()) for seed in (0, 1) for start in (0, 50, 100)}
    assert len(orders) == 6
