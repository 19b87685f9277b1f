"""The generator: pictures as it sees them, what it learns, how its weights are kept."""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.generation.generator import Generator, GeneratorSpec, standardised, unstandardised
from pipeline.generation.library import diffusers_library
from pipeline.generation.pictures import KEPT_SIDE, REACH, SIDE, TrainingSet, kept_pictures, middles
from pipeline.generation.training import GeneratorRecipe, _partly_known, epochs_done, train_generator
from pipeline.generation.weights import MOST_PARAMETERS, load_generator
from pipeline.images.region import cut_region
from pipeline.network import RegionBatch
from pipeline.tree import load_tree
from tests.support.galaxies import galaxy
from tests.support.imagined import SMALL, small_generator, write_generator

TREE = load_tree()


@functools.cache
def galaxies(count: int) -> TrainingSet:
    """Galaxies whose votes are partly known."""
    pictures = kept_pictures((cut_region(galaxy(seed), REACH) for seed in range(count)), count)
    votes = torch.rand(count, 37, generator=torch.Generator().manual_seed(0))
    votes[::2, 5:] = torch.nan
    return TrainingSet(pictures, votes)


def test_a_turned_picture_shows_the_frame_s_middle_turned() -> None:
    pixels = torch.zeros(1, 424, 424, 3, dtype=torch.uint8)
    pixels[0, 210:214, 286:290] = 240  # 76 frame pixels to the right of the middle: 19 of the result
    regions = RegionBatch(pixels, torch.full((1, 2), 211.5).double(), torch.ones(1).double())
    for quarters, place in enumerate([(0, 19), (19, 0), (0, -19), (-19, 0)]):
        for mirrored in (False, True):
            angle = torch.tensor([quarters * math.pi / 2])
            (seen,) = middles(regions, SIDE, 4.0, angle, torch.tensor([mirrored]))[:, 0]
            heavy = torch.nonzero(seen > 0.4 * seen.max()).double().mean(dim=0) - (SIDE - 1) / 2
            expected = [-part if mirrored else part for part in place]
            np.testing.assert_allclose(heavy, expected, atol=0.6)


def test_pictures_that_were_kept_are_seen_as_the_frames_themselves() -> None:
    region = cut_region(galaxy(3), REACH)
    kept = kept_pictures([region], 1)
    assert kept.shape == (1, KEPT_SIDE, KEPT_SIDE, 3)
    angles, mirrored = torch.tensor([0.7]), torch.tensor([True])
    again = TrainingSet(kept, torch.zeros(1, 37)).seen(torch.tensor([0]), angles, mirrored)
    whole = RegionBatch(
        torch.from_numpy(region.pixels.copy())[None],
        torch.tensor([region.center]).double(),
        torch.tensor([region.scale]).double(),
    )
    once = middles(whole, SIDE, 4.0, angles, mirrored)
    assert float((again - once).abs().mean()) < 0.005
    torch.testing.assert_close(unstandardised(standardised(once)), once, atol=1e-5, rtol=0)


def test_votes_are_left_out_so_that_some_and_none_can_be_asked_for() -> None:
    votes = torch.full((4000, 37), 0.5)
    recipe = GeneratorRecipe(without=0.2, partly=0.5)
    known = ~_partly_known(votes, recipe, torch.Generator().manual_seed(0)).isnan()
    share = known.float().mean(dim=1)
    assert float((share == 0).float().mean()) == pytest.approx(0.2, abs=0.04)
    assert float((share == 1).float().mean()) == pytest.approx(0.4, abs=0.04)
    assert float(known.float().mean()) == pytest.approx(0.8 * 0.75, abs=0.03)


def test_training_that_was_stopped_takes_the_same_steps(tmp_path: Path) -> None:
    recipe = GeneratorRecipe(epochs=3, batch=2, rate=2e-3)
    losses: list[float] = []
    whole = train_generator(small_generator(), galaxies(4), recipe, lambda _, loss: losses.append(loss))
    assert losses[-1] < losses[0]

    class Stopped(Exception):
        pass

    def stop(epochs: int, loss: float) -> None:
        if epochs == 2:
            raise Stopped

    state = tmp_path / "state.pt"
    with pytest.raises(Stopped):
        train_generator(small_generator(), galaxies(4), recipe, stop, state)
    assert epochs_done(state) == 2
    continued = train_generator(small_generator(seed=5), galaxies(4), recipe, state=state)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(continued.state_dict()[name], weight, rtol=0, atol=0, msg=name)


class Knowing(Generator):
    """Knows one galaxy for who asks for something, and another for who doesn't."""

    def __init__(self, asked: torch.Tensor, other: torch.Tensor) -> None:
        super().__init__(SMALL)
        self.galaxies = standardised(torch.stack([asked, other]))

    def forward(self, mixed: torch.Tensor, times: torch.Tensor, votes: torch.Tensor) -> torch.Tensor:
        galaxies = self.galaxies[votes.isnan().all(dim=1).long()]
        return (mixed - galaxies) / times[:, None, None, None]


def test_the_right_way_leads_to_the_galaxy_from_any_noise() -> None:
    seen = galaxies(4).seen(torch.tensor([0, 1]), torch.zeros(2), torch.zeros(2, dtype=torch.bool))
    knowing, votes = Knowing(*seen), torch.full((2, 37), 0.5)
    random = torch.Generator().manual_seed(0)
    assert float(knowing.loss(seen[:1], votes[:1], random)) < 1e-6
    assert float(knowing.loss(seen[1:], votes[:1], random)) > 1e-3
    noise = torch.randn(2, 3, SIDE, SIDE, generator=random)
    for steps in (1, 7):
        made = knowing.make(votes, noise, 1.0, steps)
        torch.testing.assert_close(made, seen[:1].expand(2, -1, -1, -1), atol=2e-3, rtol=0)
    anything = knowing.make(torch.full_like(votes, torch.nan), noise, 3.0, 7)
    torch.testing.assert_close(anything, seen[1:].expand(2, -1, -1, -1), atol=2e-3, rtol=0)
    away = standardised(knowing.make(votes, noise, 1.5, 7))
    farther = knowing.galaxies[1] + 1.5 * (knowing.galaxies[0] - knowing.galaxies[1])
    assert float((away - farther).abs().median()) < 1e-3


def test_what_is_asked_and_how_strongly_decides_the_picture() -> None:
    generator = small_generator().eval()
    noise = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    open_, asked = torch.full((2, 37), torch.nan), torch.full((2, 37), 0.9)
    pictures = [generator.make(votes, noise, strength, 3) for votes in (open_, asked) for strength in (1, 3)]
    assert all(made.shape == (2, 3, SIDE, SIDE) for made in pictures)
    assert all(0 <= float(made.min()) <= float(made.max()) <= 1 for made in pictures)
    torch.testing.assert_close(pictures[0], pictures[1], atol=1e-5, rtol=0)  # there is nothing to go towards
    assert not torch.equal(pictures[2], pictures[0])
    assert not torch.equal(pictures[3], pictures[2])


def test_the_one_that_is_trained_by_default_is_small() -> None:
    with torch.device("meta"):
        generator = Generator(GeneratorSpec(answers=TREE.answer_count))
    assert sum(part.numel() for part in generator.parameters()) <= MOST_PARAMETERS


def test_weights_are_what_their_card_says(tmp_path: Path) -> None:
    weights = str(tmp_path / "small.safetensors")
    card = write_generator(weights)
    generator, again = load_generator(weights, TREE)
    assert again == card
    noise, votes = torch.ones(1, 3, SIDE, SIDE), torch.full((1, 37), 0.3)
    kept = generator.make(votes, noise, 1.0, 2)
    torch.testing.assert_close(kept, small_generator().eval().make(votes, noise, 1.0, 2), atol=5e-3, rtol=0)
    with pytest.raises(InputError, match="there are no weights"):
        load_generator(str(tmp_path / "none.safetensors"), TREE)
    told = json.loads((tmp_path / "small.json").read_bytes())
    for wrong, said in (
        ({"channels": [8, 20]}, "expected multiples of 8"),
        ({"attention": [True]}, "1 levels, channels of 2"),
        ({"answers": 36}, "36 answers, and there are 37 columns"),
    ):
        card_text = json.dumps(told | {"network": told["network"] | wrong})
        (tmp_path / "small.json").write_text(card_text)
        with pytest.raises(InputError, match=said):
            load_generator(weights, TREE)
    (tmp_path / "small.json").write_text(json.dumps(told))
    Path(weights).write_bytes(Path(weights).read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is damaged or belongs to another card"):
        load_generator(weights, TREE)


def test_without_the_library_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)  # as where it isn't installed
    diffusers_library.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'tuningfork\[generation\]'"):
        small_generator()
    diffusers_library.cache_clear()
