"""The compiled loss is the loss, and where there is no compiler training goes on without it."""

from __future__ import annotations

import pytest
import torch

from pipeline.geometry import VIEWPOINTS
from pipeline.network.spec import DenseSpec
from pipeline.training import Trainer, initial_network
from pipeline.training.augmentation import Augmentation
from pipeline.training.loss import WeightedLoss
from pipeline.tree import DecisionTree
from tests.training.small import SPEC, losses, made_galaxies, recipe, trainer, weights


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_a_compiled_training_is_the_same_up_to_rounding(precision: str, tree: DecisionTree) -> None:
    """Also where a batch comes in parts of two sizes, and from clipped values to the tree's."""
    rule = recipe(examples=32, clipped_examples=16, precision=precision, augmentation=Augmentation())
    galaxies = made_galaxies(tree)
    eager = trainer(tree, galaxies, rule, micro_batch=5)
    fast = trainer(tree, galaxies, rule, micro_batch=5, compiler="aot_eager")
    assert (eager.compiled, fast.compiled) == (False, True)
    assert losses(fast) == pytest.approx(losses(eager), rel=1e-5 if precision == "float32" else 2e-2)
    near = 1e-6 if precision == "float32" else 2e-3
    torch.testing.assert_close(weights(fast.network), weights(eager.network), rtol=0, atol=near)


@pytest.mark.parametrize("shown", [1, 8, 16])
def test_so_many_viewpoints_are_shown(shown: int, tree: DecisionTree) -> None:
    """Only their pixels have a gradient, and which they are differs from example to example."""
    loss = WeightedLoss(initial_network(SPEC, tree, 0), torch.float32, shown)
    views = torch.rand(6, VIEWPOINTS, 3, 45, 45, requires_grad=True)
    votes = made_galaxies(tree, 6).votes
    loss(views, votes, torch.ones(6))[0].backward()
    assert views.grad is not None
    seen = views.grad.flatten(2).abs().sum(-1) > 0
    assert seen.sum(dim=1).tolist() == [shown] * 6
    assert shown == VIEWPOINTS or len({tuple(row) for row in seen.tolist()}) > 1


def test_viewpoints_left_out_stand_in_for_dropout(tree: DecisionTree) -> None:
    """On average over draws the first dense layer sees what it sees of all, and as much is missing."""
    spec = SPEC.model_copy(update={"dense": (DenseSpec(units=4, weight_std=0.02, dropout=0.5),)})
    network = initial_network(spec, tree, 0).train()
    features = torch.rand(1, VIEWPOINTS, spec.convolution_features) + 1
    first = network.dense_layers[0]
    seen: list[torch.Tensor] = []
    first.linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for shown in (4, 8, 12):
        seen.clear()
        for _ in range(2000):
            which = torch.rand(1, VIEWPOINTS).argsort(dim=1)[:, :shown]
            network.raw_of_some(features[:, which[0]], which)
        inputs = torch.cat(seen)
        kept = min(shown / VIEWPOINTS, 0.5)
        assert (inputs > 0).float().mean().item() == pytest.approx(kept, abs=0.02)
        assert inputs.mean().item() == pytest.approx(features.mean().item(), rel=0.05)


def test_all_viewpoints_in_any_order_are_the_network(tree: DecisionTree) -> None:
    network = initial_network(SPEC, tree, 0).eval()
    features = torch.rand(3, VIEWPOINTS, SPEC.convolution_features)
    which = torch.rand(3, VIEWPOINTS).argsort(dim=1)
    some = features[torch.arange(3)[:, None], which]
    torch.testing.assert_close(network.raw_of_some(some, which), network.raw(features))


def test_a_compiler_that_fails_is_named_and_done_without(tree: DecisionTree) -> None:
    galaxies, rule = made_galaxies(tree), recipe(examples=16)
    eager = trainer(tree, galaxies, rule)
    said: list[str] = []
    other = trainer(tree, galaxies, rule)
    without = Trainer(other.network, rule, other.feed, "nosuch", said.append)
    assert not without.compiled
    assert said[0].startswith("Compiling the network")
    assert "nosuch" in said[1]
    assert said[1].endswith("training goes on without it, and is slower")
    assert losses(without) == losses(eager)
