"""Recipes: the paper's to the letter, and what each schedule does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import CONFIGS, load_config
from pipeline.errors import InputError
from pipeline.network import load_network_spec
from pipeline.training import Recipe
from pipeline.training.recipe import Nesterov, OneCycle, Steps

RECIPES = sorted((CONFIGS / "recipes").glob("*.yaml"))


def test_the_paper_s_schedule_over_all_of_its_examples() -> None:
    recipe = load_config(Recipe, CONFIGS / "recipes" / "paper.yaml")
    steps = range(0, recipe.examples, recipe.batch_size)
    assert len(steps) == 1_562_500
    rates = [recipe.learning_rate(seen) for seen in steps]
    counts = {rate: rates.count(rate) * recipe.batch_size for rate in set(rates)}
    assert counts == {0.04: 18_000_000, 0.004: 5_000_000, 0.0004: 2_000_000}
    assert rates == sorted(rates, reverse=True)
    clipped = [seen for seen in steps if seen < recipe.clipped_examples]
    assert (len(clipped), clipped[-1]) == (625, 9_984)
    assert recipe.optimizer == Nesterov(momentum=0.9)
    augmentation = recipe.augmentation
    assert (augmentation.rotate, augmentation.mirror) == (True, True)
    assert (augmentation.translation, augmentation.zoom, augmentation.brightness) == (4, 1.3, 0.5)
    assert recipe.average_decay == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_file_is_sound_and_bears_its_name(path: Path) -> None:
    assert load_config(Recipe, path).name == path.stem


def test_a_recipe_s_dropout_takes_the_place_of_the_network_s() -> None:
    compact = load_network_spec(CONFIGS / "networks" / "compact.yaml")
    recipe = load_config(Recipe, CONFIGS / "recipes" / "distillation.yaml")
    spec = recipe.regularised(compact)
    assert {layer.dropout for layer in compact.dense} == {compact.output.dropout} == {0.5}
    assert {layer.dropout for layer in spec.dense} == {spec.output.dropout} == {recipe.dropout} == {0.1}
    assert spec.convolutions == compact.convolutions
    silent = recipe.model_copy(update={"dropout": None})
    assert silent.regularised(compact) == compact
    assert "dropout" not in silent.model_dump(mode="json"), (
        "a training that was begun before knows no such key"
    )


@given(
    highest=st.floats(1e-5, 1),
    warm_up=st.floats(0, 0.9),
    examples=st.integers(100, 10**7),
    share=st.floats(0, 1),
)
def test_one_cycle_goes_up_and_then_down(highest: float, warm_up: float, examples: int, share: float) -> None:
    schedule = OneCycle(highest=highest, warm_up=warm_up)
    seen = int(share * examples)
    rate, later = schedule.at(seen, examples), schedule.at(min(seen + examples // 100, examples), examples)
    assert 0 < rate <= highest * (1 + 1e-9)
    if seen / examples >= warm_up:
        assert later <= rate * (1 + 1e-9)
    elif (seen + examples // 100) / examples < warm_up:
        assert later >= rate


def test_one_cycle_is_torch_s() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], 0.002)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.002, total_steps=1001)
    ours = OneCycle(highest=0.002)
    for step in range(1000):
        assert ours.at(step, 1000) == pytest.approx(optimizer.param_groups[0]["lr"], rel=0.02, abs=1e-6)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("rates", [[[5, 0.1]], [[0, 0.1], [0, 0.2]], [[0, 0.1], [9, 0.2], [3, 0.1]]])
def test_steps_out_of_order_are_refused(rates: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="expected 0 and then ever more"):
        Steps.model_validate({"rates": rates})


def test_a_typo_in_a_recipe_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nexamples: 100\nbatchsize: 16\n")
    with pytest.raises(InputError, match=r"batchsize.*batch_size") as error:
        load_config(Recipe, path)
    assert "\n" not in str(error.value)
