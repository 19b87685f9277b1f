"""Labelled galaxies: their images, read and batched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import Region
from pipeline.training import Cut, Labels, Regions, check_images, load_galaxies, stacked
from pipeline.training.regions import copied


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
    assert levels(found.regions) == [10, 50, 90]
    scales = {row: float(batch.scale[0]) for rows, batch in found.regions.by_side(1) for row in rows.tolist()}
    assert scales == {0: 64 / 424, 1: 40 / 424, 2: 64 / 424}
    some = found[torch.tensor([2, 0])]
    assert some.ids == ("c", "a")
    assert levels(some.regions) == [90, 10]
    assert some.regions.sides is found.regions.sides
    assert some.votes.argmax(1).tolist() == [2, 0]
    assert some.weights.tolist() == [1.5, 0.5]
    assert found[1:].ids == ("b", "c")
    assert levels(found[1:].regions) == [50, 90]


def levels(regions: Regions) -> list[int]:
    """The grey of each region."""
    grey = {
        row: int(pixels.float().mean())
        for rows, batch in regions.by_side()
        for row, pixels in zip(rows.tolist(), batch.pixels, strict=True)
    }
    return [grey[row] for row in range(len(regions))]


def test_images_of_one_size_go_together(labels: Labels) -> None:
    regions = load_galaxies(labels, Cut(100.0)).regions
    batches = {tuple(rows.tolist()): batch for rows, batch in regions.by_side()}
    assert set(batches) == {(0, 2), (1,)}
    assert batches[0, 2].pixels.float().mean((1, 2, 3)).tolist() == [10, 90]
    assert [len(rows) for rows, _ in regions.by_side(at_once=1)] == [1, 1, 1]
    assert list(stacked((), 0).by_side()) == []


def test_what_is_gathered_holds_nothing_else_and_what_is_copied_is_the_same() -> None:
    """More than there is room for at first, of three sizes."""
    random = np.random.default_rng(1)
    regions = [
        Region(random.integers(0, 256, (side, side, 3)).astype(np.uint8), (side / 2, row), 0.5 + row)
        for row, side in enumerate(random.choice([4, 5, 6], 400, p=[0.8, 0.1, 0.1]))
    ]
    rows = torch.tensor([399, 7, 7, 30])
    for held in (stacked(iter(regions), 400), copied(regions, torch.device("cpu"))):
        assert held.nbytes == sum(region.pixels.nbytes for region in regions)
        few = held[rows].gathered()
        assert few.nbytes == sum(regions[row].pixels.nbytes for row in rows.tolist())
        for chosen, expected in ((held, regions), (few, [regions[row] for row in rows.tolist()])):
            for where, batch in chosen.by_side():
                for number, row in enumerate(where.tolist()):
                    assert np.array_equal(batch.pixels[number].numpy(), expected[row].pixels)
                    assert tuple(batch.center[number].tolist()) == expected[row].center
                    assert float(batch.scale[number]) == expected[row].scale


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
