"""Training steps on a handful of made galaxies."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RunError
from pipeline.network.spec import OutputSpec
from pipeline.training import LabelledGalaxies, Order, Trainer, initial_network
from pipeline.training.augmentation import Augmentation
from pipeline.tree import DecisionTree
from tests.training.small import SPEC, losses, made_galaxies, recipe, trainer, weights


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> LabelledGalaxies:
    return made_galaxies(tree)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_few_steps_reduce_the_loss(precision: str, galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    one = trainer(tree, galaxies, recipe(precision=precision, examples=192))
    found = losses(one)
    assert sum(found[-2:]) < 0.6 * sum(found[:2])
    assert one.seen == 192
    assert weights(one.result()).dtype == torch.float32


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    rules = [recipe(examples=32, seed=seed, augmentation=Augmentation()) for seed in (1, 1, 2)]
    trainers = [trainer(tree, galaxies, rule) for rule in rules]
    found = [losses(one) for one in trainers]
    assert found[0] == found[1] != found[2]
    assert torch.equal(weights(trainers[0].network), weights(trainers[1].network))


def test_parts_of_a_batch_add_up(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    whole, parts = (
        trainer(tree, galaxies, recipe(examples=24, augmentation=Augmentation()), micro_batch=size)
        for size in (None, 3)
    )
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    torch.testing.assert_close(weights(parts.network), weights(whole.network), rtol=1e-4, atol=1e-6)


def test_a_trainer_that_is_put_back_takes_the_same_steps(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    spec = SPEC.model_copy(update={"output": OutputSpec(dropout=0.5)})
    rule = recipe(average_decay=0.9, augmentation=Augmentation())
    undisturbed = trainer(tree, galaxies, rule, spec)
    states, found = {}, []
    while not undisturbed.done:
        states[undisturbed.seen] = {name: value.clone() for name, value in undisturbed.state().items()}
        found.append(undisturbed.step().loss)
    again = trainer(tree, galaxies, rule, spec)
    again.load_state(states[40])
    assert losses(again) == found[5:]
    assert torch.equal(weights(again.result()), weights(undisturbed.result()))


def test_the_first_examples_are_taken_on_clipped_raw_values(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    """Raw values of 0.5 are 37 halves for the one loss, and even odds down the tree for the other."""
    flat = SPEC.model_copy(update={"output": OutputSpec(weight_std=1e-9, bias=0.5, dropout=0.0)})
    still = {"examples": 16, "schedule": {"kind": "one_cycle", "highest": 1e-9}}
    clipped = losses(trainer(tree, galaxies, recipe(clipped_examples=8, **still), flat))
    gated = losses(trainer(tree, galaxies, recipe(**still), flat))
    halves = float((galaxies.votes - 0.5).square().mean())
    assert clipped[0] == pytest.approx(halves, abs=0.03)
    assert clipped[0] > 1.5 * gated[0]
    assert clipped[1] == pytest.approx(gated[1], rel=1e-3)


def test_the_moving_average_lags_behind_the_last_weights(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    """Of three steps, with decay 0.9 from the second on: average = 0.81·w1 + 0.09·w2 + 0.1·w3."""
    one = trainer(tree, galaxies, recipe(average_decay=0.9, examples=24))
    steps = []
    while not one.done:
        one.step()
        steps.append(weights(one.network).clone())
    expected = 0.81 * steps[0] + 0.09 * steps[1] + 0.1 * steps[2]
    torch.testing.assert_close(weights(one.result()), expected, rtol=1e-5, atol=1e-7)


def test_momentum_carries_the_rate_of_each_step_with_it(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    """v ← 0.9v − ηg, w ← w + 0.9v − ηg, also where η falls."""
    rates = (0.02, 0.02, 0.002, 0.002)
    rule = recipe(
        examples=32,
        optimizer={"kind": "nesterov", "momentum": 0.9},
        schedule={"kind": "steps", "rates": [[0, 0.02], [16, 0.002]]},
    )
    one, twin = trainer(tree, galaxies, rule), trainer(tree, galaxies, rule)
    w = weights(twin.network).clone()
    v = torch.zeros_like(w)
    for number, rate in enumerate(rates):
        torch.nn.utils.vector_to_parameters(w, twin.network.parameters())
        twin.network.zero_grad()
        batch = galaxies[Order(0, len(galaxies), 8).batch(8 * number)]
        views = twin._views(batch, _no_perturbation(8))
        functional.mse_loss(twin.network(views), batch.votes).backward()
        g = torch.cat([p.grad.flatten() for p in twin.network.parameters() if p.grad is not None])
        v = 0.9 * v - rate * g
        w = w + 0.9 * v - rate * g
        assert one.step().learning_rate == rate
    torch.testing.assert_close(weights(one.network), w, rtol=1e-4, atol=1e-7)


def _no_perturbation(n: int) -> Any:
    from pipeline.training.augmentation import draw
    from tests.training.small import STILL

    return draw(STILL, n, torch.Generator())


def test_missing_votes_do_not_count(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    """A loss over the first question alone moves no weight that only the others have."""
    votes = galaxies.votes.clone()
    votes[:, 3:] = torch.nan
    masked = dataclasses.replace(galaxies, votes=votes)
    one = trainer(tree, masked, recipe(examples=24, optimizer={"kind": "adamw", "weight_decay": 0.0}))
    before = {name: value.clone() for name, value in one.network.state_dict().items()}
    first = one.step().loss
    with torch.no_grad():
        views = one._views(galaxies[_rows()], _no_perturbation(8))
        answers = initial_network(SPEC, tree, 0)(views)
    expected = functional.mse_loss(answers[:, :3], galaxies.votes[_rows()][:, :3])
    assert first == pytest.approx(float(expected), rel=1e-5)
    losses(one)
    after = one.network.state_dict()
    assert torch.equal(after["last.weight"][3:], before["last.weight"][3:])
    assert not torch.equal(after["last.weight"][:3], before["last.weight"][:3])


def _rows() -> Tensor:
    return Order(0, 16, 8).batch(0)


def test_galaxies_count_by_their_weights(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    alone = torch.zeros(len(galaxies))
    chosen = int(_rows()[2])
    alone[chosen] = 8.0
    weighted = dataclasses.replace(galaxies, weights=alone)
    loss = trainer(tree, weighted, recipe()).step().loss
    only = trainer(tree, galaxies[torch.tensor([chosen])], recipe(batch_size=1)).step().loss
    assert loss == pytest.approx(only, rel=1e-5)


def test_a_frozen_trunk_stays_and_a_slower_one_moves_less(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    moved = {}
    for rate in (0.0, 0.1, 1.0):
        one = trainer(tree, galaxies, recipe(examples=24, trunk_rate=rate))
        before = {name: value.clone() for name, value in one.network.state_dict().items()}
        losses(one)
        moved[rate] = {
            name: float((value - before[name]).abs().mean())
            for name, value in one.network.state_dict().items()
        }
    assert {name for name, by in moved[0.0].items() if by} == {"last.weight", "last.bias"}
    assert 0 < moved[0.1]["convolutions.0.weight"] < 0.3 * moved[1.0]["convolutions.0.weight"]


def test_dead_questions_are_counted(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    one = trainer(tree, galaxies, recipe())
    assert one.step().dead_questions == 0
    with torch.no_grad():
        one.network.last.bias[tree.slices["bar"]] = -100.0
        one.network.last.bias[tree.slices["bulge_size"]] = -100.0
    assert one.step().dead_questions == 2


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_galaxies(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    broken = dataclasses.replace(galaxies, weights=torch.full((16,), torch.inf))
    one = trainer(tree, broken, recipe())
    with pytest.raises(RunError, match=r"the loss is inf after 0 examples, in a batch of galaxies g\d+, g"):
        one.step()


def test_weights_of_dense_units_are_capped_every_ten_updates(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    capped = SPEC.model_copy(
        update={"dense": (SPEC.dense[0].model_copy(update={"weight_std": 0.5, "rms_cap": 0.2}),)}
    )
    one: Trainer = trainer(tree, galaxies, recipe(examples=800), capped)

    def largest() -> float:
        return float(one.network.dense_layers[0].linear.weight.square().mean(dim=1).sqrt().max())

    for _ in range(9):
        one.step()
    assert largest() > 0.4
    one.step()
    assert largest() == pytest.approx(0.2, rel=1e-4)
