"""Galaxies on their way to the device: however they come, training is the same."""

from __future__ import annotations

import time

import pytest
import torch

from pipeline.training import Feed, LabelledGalaxies, Order, Trainer, feed_of, initial_network
from pipeline.training.augmentation import Augmentation
from pipeline.tree import DecisionTree
from tests.training.small import SPEC, losses, made_galaxies, recipe, trainer, weights

RULE = recipe(examples=40, augmentation=Augmentation())


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> LabelledGalaxies:
    return made_galaxies(tree)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_galaxies_gathered_ahead_give_the_same_weights(
    micro_batch: int | None, galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    resident = trainer(tree, galaxies, RULE, micro_batch=micro_batch)
    ahead = trainer(tree, galaxies, RULE, micro_batch=micro_batch, ahead=True)
    assert losses(ahead) == losses(resident)
    assert torch.equal(weights(ahead.network), weights(resident.network))


def test_each_part_is_asked_for_once_in_order_and_none_after_the_last(galaxies: LabelledGalaxies) -> None:
    asked: list[tuple[int, list[int]]] = []

    def source(rows: torch.Tensor, seen: int) -> LabelledGalaxies:
        asked.append((seen, rows.tolist()))
        return galaxies[rows]

    order = Order(0, 16, 8, rank=1, world=2)
    feed = Feed(order, source, torch.device("cpu"), micro_batch=3, ahead=True)
    for seen in (0, 8, 16):
        for part, chosen in feed.batch(seen, last=seen == 16):
            assert chosen.ids == galaxies[order.batch(seen)[part]].ids
    time.sleep(0.05)
    mine = [(seen, order.batch(seen)[4:]) for seen in (0, 8, 16)]
    assert asked == [(seen, few.tolist()) for seen, rows in mine for few in rows.split(3)]
    assert feed.sizes == {3, 1}


def test_what_a_source_refuses_comes_in_its_turn(galaxies: LabelledGalaxies) -> None:
    def source(rows: torch.Tensor, seen: int) -> LabelledGalaxies:
        if seen == 8:
            raise ValueError("a bad image")
        return galaxies[rows]

    feed = Feed(Order(0, 16, 8), source, torch.device("cpu"), ahead=True)
    assert len(list(feed.batch(0))) == 1
    with pytest.raises(ValueError, match="a bad image"):
        list(feed.batch(8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_galaxies_on_a_gpu_and_copied_to_it_give_the_same_weights(
    micro_batch: int | None, galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        trained = {}
        for stays in (True, False):
            network = initial_network(SPEC, tree, 0).to("cuda")
            feed = feed_of(galaxies, Order(0, 16, 8), network.device, micro_batch, stays)
            assert feed.ahead is not stays
            trained[stays] = Trainer(network, RULE, feed)
            losses(trained[stays])
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(weights(trained[True].network), weights(trained[False].network))
