"""Cutout sets of made galaxies: whole or not there, each of one request, whose bytes are always the same."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL.PngImagePlugin import PngImageFile

from pipeline.cutouts import list_shards
from pipeline.errors import InputError
from pipeline.evaluation import read_votes
from pipeline.generation import imagined
from pipeline.generation.asking import asked_votes
from pipeline.generation.imagined import DISCLAIMER, Request, imagine
from pipeline.training import read_labels
from pipeline.tree import load_tree
from tests.support.imagined import small_generator

TREE = load_tree()
ASKED = {"something_odd_yes": 0.9, "odd_feature_dust_lane": 0.8}
VOTES = asked_votes(ASKED, TREE)
GENERATOR = small_generator().eval()


def request(count: int = 5, seed: int = 0) -> Request:
    return Request(
        weights="f" * 64, tree=TREE.name, votes=ASKED, count=count, seed=seed, guidance=2.0, steps=1
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(output: Path, own: Request, made=lambda count: None):
    return imagine(own, VOTES, GENERATOR, TREE, str(output), made)


def test_every_file_and_row_says_that_it_is_made(tmp_path: Path) -> None:
    assert make(tmp_path / "made", request()).created
    (shard,) = list_shards(str(tmp_path / "made"))
    table = pq.read_table(shard.uri)
    assert table["synthetic"].to_pylist() == [True] * 5
    assert set(table["weights"].to_pylist()) == {"f" * 64}
    assert all(name.startswith("synthetic-") for name in table["object_id"].to_pylist())
    survey = json.loads((tmp_path / "made" / "survey.json").read_bytes())
    assert survey["name"] == "synthetic galaxies"
    assert survey["criteria"] == request().model_dump() | {"synthetic": True}
    for name, image in zip(table["object_id"].to_pylist(), table["image"].to_pylist(), strict=True):
        assert (tmp_path / "made" / "images" / f"{name}.png").read_bytes() == image
        picture = PngImageFile(io.BytesIO(image))
        assert picture.size == (64, 64)
        assert picture.text["Disclaimer"] == DISCLAIMER
        assert json.loads(picture.text["Source"]) == request().model_dump()
        assert "trainedAlgorithmicMedia" in picture.text["XML:com.adobe.xmp"]


def test_training_reads_what_was_asked_as_labels(tmp_path: Path) -> None:
    make(tmp_path / "made", request())
    labels = read_labels(str(tmp_path / "made"), TREE, "labels.csv")
    assert len(labels) == 5
    assert all(Path(image).is_file() for image in labels.images)
    assert set(labels.frames) == {106.0}
    np.testing.assert_allclose(labels.votes, np.broadcast_to(VOTES, (5, 37)), atol=1e-6)
    table = read_votes(str(tmp_path / "made" / "labels.csv"), TREE)
    assert table.frame["synthetic"].all()


def test_the_same_wish_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, own in (("one", request()), ("same", request()), ("other", request(seed=1))):
        make(tmp_path / name, own)
    one, same, other = (files(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert not {name for name in one if name.startswith("images")} & set(other)
    assert not make(tmp_path / "one", request()).created
    assert files(tmp_path / "one") == one
    with pytest.raises(InputError, match="with another seed; choose another output"):
        make(tmp_path / "one", request(seed=1))


def test_one_that_was_stopped_goes_on_and_is_nobody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagined, "UNIT", 4)
    done = []

    class Stopped(Exception):
        pass

    def stop(count: int) -> None:
        done.append(count)
        if sum(done) > 8:
            raise Stopped

    make(tmp_path / "whole", request(count=11))
    with pytest.raises(Stopped):
        make(tmp_path / "made", request(count=11), stop)
    begun = files(tmp_path / "made")
    assert len(begun) == 11  # two shards, eight images, and what they are of
    with pytest.raises(InputError, match="its ingest was cut short"):
        list_shards(str(tmp_path / "made"))
    with pytest.raises(InputError, match="begins a set of galaxies with another seed; choose"):
        make(tmp_path / "made", request(count=11, seed=1))
    assert files(tmp_path / "made") == begun
    make(tmp_path / "made", request(count=11))
    assert files(tmp_path / "made") == files(tmp_path / "whole")


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)])
def test_two_at_once_do_not_mix(tmp_path: Path, seeds: tuple[int, int]) -> None:
    def attempt(seed: int) -> int | None:
        try:
            make(tmp_path / "made", request(seed=seed))
        except InputError:
            return None
        return seed

    with ThreadPoolExecutor(2) as both:
        done = list(both.map(attempt, seeds))
    assert (None in done) == (seeds == (0, 1))
    (winner,) = {seed for seed in done if seed is not None}
    make(tmp_path / "alone", request(seed=winner))
    assert files(tmp_path / "made") == files(tmp_path / "alone")


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        make(tmp_path, request())
    assert files(tmp_path) == {"thesis.tex": b"mine"}


def test_weights_that_make_no_numbers_make_no_set(tmp_path: Path) -> None:
    broken = small_generator().eval()
    with torch.no_grad():
        broken.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="aren't finite"):
        imagine(request(), VOTES, broken, TREE, str(tmp_path / "made"))
    assert list(files(tmp_path / "made")) == ["imagined.json"]
    (tmp_path / "made" / "imagined.json").write_text("[")
    with pytest.raises(InputError, match="is not what a set of made galaxies follows from"):
        make(tmp_path / "made", request())
