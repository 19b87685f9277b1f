"""A network learns how sure it is from galaxies that it wasn't trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipeline.confidence.document import read_confidence
from pipeline.network import DEFAULT_WEIGHTS, check_model, load_networks
from pipeline.network.checkpoint import card_uri
from pipeline.training.confidence import FEWEST_HELD_OUT, learn_confidence
from pipeline.training.labels import Labels
from pipeline.training.weights import keep_confidence
from pipeline.tree import load_tree
from tests.confidence.votes import drawn_answers, drawn_votes
from tests.support.galaxies import galaxy, png

TREE = load_tree()


def labels(folder: Path, first: int, votes: np.ndarray) -> Labels:
    """Galaxies of twenty pictures, each of which is there many times, with votes."""
    images = [str(folder / f"{first + number % 20}.png") for number in range(len(votes))]
    for image in set(images):
        Path(image).write_bytes(png(galaxy(int(Path(image).stem), 64)))
    count = len(votes)
    return Labels(
        tuple(f"g{number}" for number in range(count)),
        tuple(images),
        np.full(count, np.nan),
        votes.astype(np.float32),
        np.ones(count, np.float32),
    )


def test_intervals_hold_what_they_say_and_pictures_of_the_kind_are_familiar(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    answers = drawn_answers(TREE, 400, random)
    held_out = labels(tmp_path, 100, drawn_votes(TREE, answers, 8.0, 40, random))
    trained_on = labels(tmp_path, 0, held_out.votes)
    networks = load_networks(DEFAULT_WEIGHTS, TREE)
    confidence = learn_confidence(networks, "a" * 64, answers, held_out, trained_on)
    assert confidence.galaxies == 400
    assert 0.85 < confidence.coverage["smooth_or_featured"] < 0.95
    assert confidence.familiarity.smallest < confidence.familiarity.size < confidence.familiarity.largest


def test_it_is_kept_beside_weights_where_enough_galaxies_are_held_out(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    Path(weights).write_bytes(Path(DEFAULT_WEIGHTS).read_bytes())
    Path(card_uri(weights)).write_bytes(Path(card_uri(DEFAULT_WEIGHTS)).read_bytes())
    networks, random = load_networks(weights, TREE), np.random.default_rng(1)
    for count, kept in ((FEWEST_HELD_OUT - 1, False), (FEWEST_HELD_OUT, True)):
        answers = drawn_answers(TREE, count, random)
        some = labels(tmp_path, 0, drawn_votes(TREE, answers, 8.0, 40, random))
        keep_confidence(weights, networks, torch.from_numpy(answers), some, some)
        assert (tmp_path / "w.confidence.json").exists() is kept
    assert read_confidence(weights, check_model(weights, TREE)).galaxies == FEWEST_HELD_OUT
