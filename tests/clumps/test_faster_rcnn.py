"""Faster R-CNN behind the interface of the other detector."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.clumps.detector import SIDE, target_maps
from pipeline.clumps.faster_rcnn import boxes_of, detection_models
from pipeline.clumps.training import DetectorRecipe, train_detector
from pipeline.clumps.weights import DetectorCard, load_detector, new_detector, save_detector
from pipeline.errors import InputError
from tests.clumps.test_detector import points

NONE = np.zeros((0, 2))


def test_boxes_are_those_of_the_clumps() -> None:
    places = np.array([[0.0, 0.0], [90.0, -60.0]])
    maps, _ = target_maps(places, np.array([12.0, 18.0]), NONE, 0)
    boxes = boxes_of(torch.from_numpy(np.stack([maps, target_maps(NONE, np.zeros(0), NONE, 0)[0]])))
    assert [len(one) for one in boxes] == [2, 0]
    found = boxes[0].numpy()[np.argsort(boxes[0][:, 0].numpy())]
    middle = SIDE / 2
    expected = [[-2, -2, 2, 2], [27, -23, 33, -17]]
    np.testing.assert_allclose(found, np.array(expected) + middle, atol=0.01)


def test_it_learns_and_is_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector, galaxies, losses = new_detector("faster_rcnn"), points(4, 0), list[float]()
    train_detector(detector, galaxies, DetectorRecipe(epochs=3, batch=2), lambda _, loss: losses.append(loss))
    assert losses[2] < losses[0]
    weights = str(tmp_path / "own.safetensors")
    save_detector(detector, weights, DetectorCard(kind="faster_rcnn", threshold=0.3))
    again, card = load_detector(weights)
    assert card.kind == "faster_rcnn"
    (found,) = again.find(galaxies.pictures[:1].float() / 255, 0.05)
    assert (np.diff(found.probability) <= 0).all()


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as where it isn't installed
    detection_models.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'tuningfork\[detection\]'"):
        detection_models()
