"""The way from labelled galaxies to the project's weights, at a ten-thousandth of its length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from jobs.recipes.pack import halved
from jobs.recipes.tables import HELD_OUT
from pipeline.images import decode_image
from pipeline.network import ViewpointNetwork, load_network, load_network_spec, read_card
from pipeline.tree import DecisionTree, load_tree


@pytest.fixture(scope="module")
def tree() -> DecisionTree:
    return load_tree()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A folder laid out as the real one, with made galaxies: enough of each kind for five folds."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    challenge, kinds = folder / "galaxy_zoo_challenge", folder / "sdss_gz1"

    def pictures(path: Path, names: list[str], ending: str) -> None:
        path.mkdir(parents=True)
        for name in names:
            noise = random.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(noise).resize((141, 141)).save(path / f"{name}{ending}")

    def votes(n: int) -> pd.DataFrame:
        raw = torch.rand(n, tree.answer_count, generator=torch.Generator().manual_seed(n))
        spec = load_network_spec("configs/networks/compact.yaml")
        return pd.DataFrame(
            ViewpointNetwork(spec, tree).output(raw).numpy(), columns=list(tree.class_columns)
        )

    first, more = [str(i) for i in range(HELD_OUT + 10)], [str(1000 + i) for i in range(40)]
    pictures(challenge / "images_training_rev1", first, ".jpg")
    pictures(challenge / "images_more", more, ".jpg")
    pictures(challenge / "images_unlabelled", ["2000", "2001"], ".jpg")
    pictures(kinds / "images", ["7", "8"], ".jpeg")
    votes(len(first)).assign(GalaxyID=first).to_csv(challenge / "training_solutions_rev1.csv", index=False)
    table = votes(len(more)).assign(GalaxyID=more, folder="images_more", sample=["fair", "clean"] * 20)
    partly = [
        c for c in tree.class_columns if c.split(".")[0] not in ("Class1", "Class2", "Class6", "Class7")
    ]
    table.loc[:18:2, partly] = np.nan  # of fair ones
    table.to_csv(challenge / "labels_more.csv", index=False)
    largest = pd.DataFrame({"GalaxyID": ["2000", "2001", "1000"], "argmax37": "Class1.1"})
    largest.to_csv(challenge / "argmax_labels.csv", index=False)
    classes = pd.DataFrame({"dr7objid": ["7", "8"], "class": ["elliptical", "spiral_clockwise"]})
    classes.to_csv(kinds / "classes.csv", index=False)
    return folder


def module(name: str, *words: object) -> None:
    subprocess.run([sys.executable, "-m", name, *map(str, words)], check=True)


def test_a_picture_is_halved_by_the_mean_of_four() -> None:
    pixels = np.zeros((3, 4, 3), np.uint8)
    pixels[0, :2] = 100
    pixels[2] = 80
    assert halved(pixels)[:, :, 0].tolist() == [[50, 0], [80, 80]]


@pytest.mark.long
def test_labels_become_weights_from_a_pack(data: Path, tmp_path: Path, tree: DecisionTree) -> None:
    labels, pack = tmp_path / "labels", tmp_path / "pack"
    module("jobs.recipes.labels", data, labels)
    module("jobs.recipes.pack", labels, pack)
    unseen = pd.read_csv(pack / "unseen.csv", dtype={"object_id": str})
    assert (
        len(unseen) == 10 + HELD_OUT
    )  # fair ones of labels_more.csv with all columns, and the last of the first
    voted = pd.read_csv(pack / "votes.csv", dtype={"object_id": str})
    assert voted["object_id"].tolist()[-len(unseen) :] == unseen["object_id"].tolist()
    assert len(pd.read_csv(pack / "unlabelled.csv")) == 4  # of which galaxy 1000 is none: it has votes
    half = decode_image((pack / "images" / "challenge-1000.jpg").read_bytes())
    assert half.shape == (71, 71, 3)

    module("jobs.recipes.weights", pack, "--share", 0.0005)
    weights = pack / "compact.safetensors"
    assert load_network(str(weights), tree)[0].spec.name == "compact"
    card = read_card(str(weights))
    assert card.data["galaxies"] == len(voted) - len(unseen) + 4
    before, teacher = card.recipe["steps_before"]
    assert before["recipe"]["name"] == "pretraining"
    assert teacher["recipe"]["examples"] == 50
    student = pd.read_csv(pack / "student.csv", dtype={"object_id": str}).set_index("object_id")
    learnt = student[list(tree.columns)][: -len(unseen)]
    assert not learnt.isna().to_numpy().any()
    known = voted.set_index("object_id").loc[learnt.index.intersection(voted["object_id"].tolist())]
    moved = (learnt.loc[known.index] - known[list(tree.columns)]).to_numpy()
    assert 0 < np.nanmax(np.abs(moved)) <= 0.8
