"""Labelled galaxies: their images, read and batched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import InputError
from pipeline.training import Cut, Labels, check_images, equal_sides, load_galaxies


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    """Three galaxies: two in images of 64 pixels and one of 80, whose frame is 40 wide."""
    sides = (64, 80, 64)
    images = []
    for level, side in enumerate(sides):
        images.append(str(tmp_path / f"{level}.png"))
        Image.fromarray(np.full((side, side, 3), 40 * level + 10, np.uint8)).save(images[-1])
    return Labels(
        ("a", "b", "c"),
        tuple(images),
        np.array([np.nan, 40, np.nan]),
        np.eye(3, 37, dtype=np.float32),
        np.array([0.5, 1, 1.5], np.float32),
    )


def test_galaxies_are_loaded_in_the_order_of_the_labels(labels: Labels) -> None:
    found = load_galaxies(labels, Cut(100.0))
    assert found.ids == ("a", "b", "c")
    assert [int(region.pixels.mean()) for region in found.regions] == [10, 50, 90]
    assert [region.scale for region in found.regions] == [64 / 424, 40 / 424, 64 / 424]
    some = found.subset(torch.tensor([2, 0]))
    assert some.ids == ("c", "a")
    assert some.regions[0] is found.regions[2]
    assert some.votes.argmax(1).tolist() == [2, 0]
    assert some.weights.tolist() == [1.5, 0.5]
    assert found[1:].ids == ("b", "c")


def test_images_of_one_size_go_together(labels: Labels) -> None:
    regions = load_galaxies(labels, Cut(100.0)).regions
    batches = {tuple(rows.tolist()): batch for rows, batch in equal_sides(regions)}
    assert set(batches) == {(0, 2), (1,)}
    assert batches[0, 2].pixels.float().mean((1, 2, 3)).tolist() == [10, 90]
    assert [len(rows) for rows, _ in equal_sides(regions, at_once=1)] == [1, 1, 1]
    assert list(equal_sides(())) == []


def test_an_image_that_is_absent_or_damaged_is_named(labels: Labels) -> None:
    check_images(labels)
    path = Path(labels.images[1])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cannot use .*1\.png, the image of labelled galaxy b"):
        load_galaxies(labels, Cut(100.0))
    path.unlink()
    with pytest.raises(InputError, match=r"cannot use .*1\.png, the image of labelled galaxy b"):
        load_galaxies(labels, Cut(100.0))
    with pytest.raises(InputError, match=r"1 of 3 labelled galaxies have no image, first b: .*1\.png"):
        check_images(labels)
