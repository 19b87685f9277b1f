"""The detector: what it is to say, what it learns, and how its weights are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clumps.detector import (
    CELL,
    SIDE,
    CentreDetector,
    detection_loss,
    peaks_of,
    sample_pictures,
    target_maps,
)
from pipeline.clumps.samples import TrainingSet
from pipeline.clumps.training import DetectorRecipe, _turned, train_detector
from pipeline.clumps.weights import CLUMPS, DetectorCard, load_detector, read_detector_card, save_detector
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, load_network
from pipeline.tree import load_tree

NONE = np.zeros((0, 2))


def certain(maps: np.ndarray) -> torch.Tensor:
    """Maps as a network gives them that is sure of a target."""
    sure = torch.from_numpy(maps)[None].clone()
    sure[:, 0] = torch.where(sure[:, 0] == 1, 6.0, -6.0)
    return sure


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-150, 150), st.floats(-150, 150)), max_size=6), st.floats(8, 40))
def test_peaks_of_a_target_are_its_clumps(places: list[tuple[float, float]], width: float) -> None:
    known = np.array(places).reshape(-1, 2)
    apart = [i for i, place in enumerate(known) if all(np.abs(place - o).max() > 3 * CELL for o in known[:i])]
    known = known[apart]
    maps, counts = target_maps(known, np.full(len(known), width), NONE, 0)
    (found,) = peaks_of(certain(maps), 0.5)
    assert counts.all()
    assert len(found) == len(known)
    distances = np.hypot(found.x[:, None] - known[:, 0], found.y[:, None] - known[:, 1])
    assert (distances.min(axis=1, initial=np.inf) < 0.01).all()
    np.testing.assert_allclose(found.width, width, rtol=1e-4)


def test_places_of_which_nobody_knows_do_not_count_but_clumps_do() -> None:
    maps, counts = target_maps(np.array([[0.0, 0.0]]), np.array([16.0]), np.array([[60.0, 0], [3, 0]]), 12)
    assert (counts == 0).any()
    assert counts[maps[0] == 1].all()
    anything = certain(maps)
    anything[:, 0][torch.from_numpy(counts)[None] == 0] = 5.0
    targets, weights = torch.from_numpy(maps)[None], torch.from_numpy(counts)[None]
    assert detection_loss(anything, targets, weights) == detection_loss(certain(maps), targets, weights)
    wrong = certain(maps)
    wrong[:, 0, 5, 5] = 5.0
    assert detection_loss(wrong, targets, weights) > detection_loss(certain(maps), targets, weights)


def test_a_picture_is_the_middle_of_the_frame_at_any_scale() -> None:
    rows, columns = np.mgrid[:424, :424]
    fine = 120 + 60 * np.sin(rows / 30) + 60 * np.cos(columns / 25)
    coarse = fine.reshape(212, 2, 212, 2).mean(axis=(1, 3))
    seen = []
    for picture, scale in ((fine, 1.0), (coarse, 0.5)):
        pixels = np.repeat(picture[..., None], 3, axis=2).round().astype(np.uint8)
        middle = torch.full((1, 2), (len(picture) - 1) / 2, dtype=torch.float64)
        regions = RegionBatch(
            torch.from_numpy(pixels)[None], middle, torch.tensor([scale], dtype=torch.float64)
        )
        seen.append(sample_pictures(regions)[0])
    assert seen[0].shape == (3, SIDE, SIDE)
    assert float((seen[0] - seen[1]).abs().max()) < 2 / 255
    assert float(seen[0][0, 56, 56]) * 255 == pytest.approx(fine[213, 213], abs=1)


def test_turned_galaxies_have_their_clumps_where_these_are() -> None:
    """A bright point in the picture stays under the peak of the target, however both are turned."""
    place = np.array([[63.0, -30.0]])
    maps, counts = target_maps(place, np.array([12.0]), NONE, 0)
    picture = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    column, row = (place[0] / 3 + (SIDE - 1) / 2).round().astype(int)
    picture[0, :, row, column] = 255
    one = TrainingSet(picture, torch.from_numpy(maps)[None], torch.from_numpy(counts)[None])
    random, seen = torch.Generator().manual_seed(0), set()
    for _ in range(40):
        pictures, targets, _ = _turned(one, torch.tensor([0]), random)
        y, x = np.unravel_index(int(pictures[0, 0].argmax()), (SIDE, SIDE))
        (found,) = peaks_of(certain(targets[0].numpy()), 0.5)
        middle = (SIDE - 1) / 2
        assert np.hypot((x - middle) * 3 - found.x[0], (y - middle) * 3 - found.y[0]) < 3
        seen.add((round(float(found.x[0])), round(float(found.y[0]))))
    assert len(seen) == 8


def points(count: int, seed: int) -> TrainingSet:
    """Pictures of nothing but blue points."""
    random = np.random.default_rng(seed)
    pictures, maps, weights = [], [], []
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * 3
    for _ in range(count):
        places = random.uniform(-120, 120, (2, 2))
        light = sum(np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / 50) for x, y in places)
        pictures.append(np.clip(np.stack([20 + 0 * light, 20 + 90 * light, 20 + 200 * light]), 0, 255))
        target, counts = target_maps(places, np.full(2, 16.0), NONE, 0)
        maps.append(target)
        weights.append(counts)
    stacked = torch.from_numpy(np.stack(pictures).astype(np.uint8))
    return TrainingSet(stacked, torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(weights)))


def test_training_lowers_the_loss_and_continues_where_it_was(tmp_path: Path) -> None:
    recipe = DetectorRecipe(epochs=3, batch=4)
    galaxies, losses = points(8, 0), list[float]()

    def trained(state: Path | None, stop_after: int = 99) -> CentreDetector:
        torch.manual_seed(0)
        detector = CentreDetector()

        def done(epochs: int, loss: float) -> None:
            losses.append(loss)
            if epochs == stop_after:
                raise KeyboardInterrupt

        train_detector(detector, galaxies, recipe, done, state)
        return detector

    whole = trained(None)
    assert losses[2] < losses[0]
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "state.pt", stop_after=1)
    continued = trained(tmp_path / "state.pt")
    assert len(losses) == 3 + 1 + 2
    for one, other in zip(whole.parameters(), continued.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_detector_begins_with_the_convolutions_of_galaxies() -> None:
    detector = CentreDetector()
    network = load_network(DEFAULT_WEIGHTS, load_tree())[0]
    detector.take_convolutions(network)
    maps = detector(torch.rand(1, 3, SIDE, SIDE))
    assert maps.shape == (1, 4, SIDE // 2, SIDE // 2)
    first = network.convolutions[0].weight
    torch.testing.assert_close(detector.convolutions[0].weight, first)


def test_weights_are_what_their_card_says(tmp_path: Path) -> None:
    weights = str(tmp_path / "own.safetensors")
    detector = CentreDetector().eval()
    card = save_detector(detector, weights, DetectorCard(threshold=0.3))
    again, read = load_detector(weights)
    assert read == card
    pictures = torch.rand(2, 3, SIDE, SIDE)
    torch.testing.assert_close(again(pictures), detector(pictures), rtol=0.02, atol=0.02)
    (tmp_path / "own.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="the file is damaged"):
        read_detector_card(weights)
    with pytest.raises(InputError, match="there are no weights"):
        load_detector(str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match=r"compact\.json"):
        read_detector_card(DEFAULT_WEIGHTS)


def test_what_is_shipped_says_how_good_it_is() -> None:
    detector, card = load_detector(CLUMPS)
    assert card.parameters == sum(part.numel() for part in detector.parameters())
    assert card.score["bins"]
    assert card.not_good_for
