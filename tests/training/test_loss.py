"""The compiled loss is the loss, and where there is no compiler training goes on without it."""

from __future__ import annotations

import pytest
import torch

from pipeline.training import Trainer
from pipeline.training.augmentation import Augmentation
from pipeline.tree import DecisionTree
from tests.training.small import losses, made_galaxies, recipe, trainer, weights


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
