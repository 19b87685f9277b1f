"""The training loop on a handful of random galaxies."""

from __future__ import annotations

import pytest
import torch

from pipeline.errors import InputError
from pipeline.network import NetworkSpec, RegionBatch, ViewpointNetwork
from pipeline.network.spec import ConvolutionSpec, DenseSpec, OutputSpec
from pipeline.training import LabelledGalaxies, Recipe, train_network
from pipeline.training.augmentation import Augmentation
from pipeline.tree import DecisionTree

SPEC = NetworkSpec(
    name="small",
    convolutions=(
        ConvolutionSpec(filters=8, kernel=6, pool=3, weight_std=0.1),
        ConvolutionSpec(filters=8, kernel=3, pool=3, weight_std=0.1),
    ),
    dense=(DenseSpec(units=32, weight_std=0.02, dropout=0.0),),
    output=OutputSpec(dropout=0.0),
)


def recipe(**changes: object) -> Recipe:
    values = {
        "name": "few steps",
        "epochs": 12,
        "batch_size": 8,
        "precision": "float32",
        "average_decay": 0.5,
        "augmentation": Augmentation(rotate=False, translation=0, zoom=1, mirror=False, brightness=0),
    }
    return Recipe.model_validate(values | changes)


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> LabelledGalaxies:
    """Galaxies whose first answer can be told by their colour."""
    random = torch.Generator().manual_seed(3)
    n = 16
    pixels = torch.randint(0, 120, (n, 160, 160, 3), generator=random, dtype=torch.uint8)
    red = torch.arange(n) % 2 == 0
    pixels[red, :, :, 0] += 120
    raw = torch.rand(n, 37, generator=random)
    raw[red, 0], raw[~red, 0] = 8.0, 0.0
    votes = ViewpointNetwork(SPEC, tree).output(raw)
    center = torch.full((n, 2), 79.5, dtype=torch.float64)
    return LabelledGalaxies(
        tuple(range(n)), RegionBatch(pixels, center, torch.full((n,), 0.5, dtype=torch.float64)), votes
    )


def weights(network: ViewpointNetwork) -> torch.Tensor:
    return torch.cat([p.flatten() for p in network.parameters()])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_few_steps_reduce_the_loss(precision: str, galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    result = train_network(SPEC, tree, recipe(precision=precision), galaxies)
    assert len(result.losses) == 12
    assert result.losses[-1] < 0.6 * result.losses[0]
    assert not result.network.training
    assert not any(p.requires_grad for p in result.network.parameters())
    assert weights(result.network).dtype == torch.float32


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    perturbed = {"epochs": 2, "augmentation": Augmentation()}
    first, again, other = (
        train_network(SPEC, tree, recipe(seed=seed, **perturbed), galaxies) for seed in (1, 1, 2)
    )
    assert torch.equal(weights(first.network), weights(again.network))
    assert first.losses == again.losses
    assert not torch.allclose(weights(first.network), weights(other.network), atol=1e-3)


def test_progress_counts_every_example(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    seen: list[int] = []
    losses: list[float] = []

    def note(examples: int, loss: float) -> None:
        seen.append(examples)
        losses.append(loss)

    result = train_network(SPEC, tree, recipe(epochs=3), galaxies, note)
    assert seen == [8] * 6
    pairs = [(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=True)]
    assert list(result.losses) == pytest.approx(pairs)


def test_every_epoch_shows_every_galaxy_once_in_another_order(
    galaxies: LabelledGalaxies, tree: DecisionTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    subset = LabelledGalaxies.subset

    def noted(self: LabelledGalaxies, rows: torch.Tensor) -> LabelledGalaxies:
        shown.extend(rows.tolist())
        return subset(self, rows)

    monkeypatch.setattr(LabelledGalaxies, "subset", noted)
    train_network(SPEC, tree, recipe(epochs=3), galaxies)
    epochs = [tuple(shown[i : i + 16]) for i in range(0, 48, 16)]
    assert all(sorted(order) == list(range(16)) for order in epochs)
    assert len(set(epochs)) == 3


def test_the_first_examples_are_taken_on_clipped_raw_values(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    """Raw values of 0.5 are 37 halves for the one loss, and even odds down the tree for the other."""
    flat = SPEC.model_copy(update={"output": OutputSpec(weight_std=1e-9, bias=0.5, dropout=0.0)})
    clipped: list[float] = []
    gated: list[float] = []
    rate = {"learning_rate": 1e-9, "epochs": 1}
    train_network(flat, tree, recipe(clipped_examples=8, **rate), galaxies, lambda n, x: clipped.append(x))
    train_network(flat, tree, recipe(**rate), galaxies, lambda n, x: gated.append(x))
    halves = float((galaxies.votes - 0.5).square().mean())
    assert clipped[0] == pytest.approx(halves, abs=0.03)
    assert clipped[0] > 1.5 * gated[0]
    assert clipped[1] == pytest.approx(gated[1], rel=1e-3)


def test_the_moving_average_lags_behind_the_last_weights(
    galaxies: LabelledGalaxies, tree: DecisionTree
) -> None:
    """Of three steps, with decay 0.9 from the second on: average = 0.81·w1 + 0.09·w2 + 0.1·w3."""
    whole = {"batch_size": 16, "epochs": 3}
    steps: list[torch.Tensor] = []
    optimizer_step = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, *args: object) -> object:
        result = optimizer_step(self, *args)
        steps.append(torch.cat([p.detach().flatten().clone() for p in self.param_groups[0]["params"]]))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        averaged = train_network(SPEC, tree, recipe(average_decay=0.9, **whole), galaxies)
    last = train_network(SPEC, tree, recipe(average_decay=0.0, **whole), galaxies)
    assert len(steps) == 3
    assert torch.equal(weights(last.network), steps[-1])
    expected = 0.81 * steps[0] + 0.09 * steps[1] + 0.1 * steps[2]
    torch.testing.assert_close(weights(averaged.network), expected, rtol=1e-5, atol=1e-7)


def test_a_loss_that_is_not_finite_stops_the_run(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    broken = LabelledGalaxies(galaxies.ids, galaxies.regions, galaxies.votes * float("nan"))
    with pytest.raises(FloatingPointError, match="the loss is nan after 0 examples"):
        train_network(SPEC, tree, recipe(), broken)


def test_no_galaxies_are_refused(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    with pytest.raises(InputError, match="no galaxies to train on"):
        train_network(SPEC, tree, recipe(), galaxies.subset(torch.arange(0)))


def test_fewer_galaxies_than_a_batch_are_one_batch(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    seen: list[int] = []
    few = galaxies.subset(torch.arange(3))
    train_network(SPEC, tree, recipe(epochs=2), few, lambda n, _: seen.append(n))
    assert seen == [3, 3]
