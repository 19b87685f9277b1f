"""Answers in another survey's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.config import CONFIGS
from pipeline.errors import InputError
from pipeline.network.output import TreeOutput
from pipeline.tree import Crosswalk, compute_fractions, load_crosswalk, load_tree

TREE = load_tree()
CROSSWALKS = sorted((CONFIGS / "crosswalks").glob("*.yaml"))
DECALS = CONFIGS / "crosswalks" / "galaxy_zoo_decals.yaml"


def probabilities(seed: int, n: int = 20) -> NDArray[np.float32]:
    raw = torch.rand(n, TREE.answer_count, generator=torch.Generator().manual_seed(seed))
    return np.asarray(TreeOutput(TREE)(raw).numpy())


def in_their_words(walk: Crosswalk, answers: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    names = [fraction.name for fraction in walk.fractions()]
    return dict(zip(names, compute_fractions(TREE, walk.fractions(), answers).T, strict=True))


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The crosswalk to Galaxy Zoo DECaLS, with something otherwise."""
    file = yaml.safe_load(DECALS.read_text())
    change(file)
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


@pytest.mark.parametrize("path", CROSSWALKS, ids=lambda path: path.stem)
def test_those_that_come_along_account_for_every_question(path: Path) -> None:
    walk = load_crosswalk(path, TREE)
    assert walk.name == path.stem
    names = [fraction.name for fraction in walk.fractions()]
    assert len(set(names)) == len(names) > 25


@given(st.integers(0, 1000))
def test_fractions_are_of_those_who_were_asked(seed: int) -> None:
    walk = load_crosswalk(DECALS, TREE)
    answers = probabilities(seed)
    answers[0, TREE.slices["how_rounded"]] = 0
    theirs = in_their_words(walk, answers)
    rounded = [theirs[f"how-rounded_{key}_fraction"] for key in ("round", "in-between", "cigar-shaped")]
    assert np.isnan(rounded)[:, 0].all()
    np.testing.assert_allclose(np.sum(rounded, axis=0)[1:], 1, rtol=1e-5)
    asked, no_bar = answers[:, TREE.slices["bar"]].sum(axis=1), answers[:, TREE.columns.index("bar_no")]
    np.testing.assert_allclose(theirs["bar_no_fraction"] * asked, no_bar, rtol=1e-5)
    assert "bar_strong_fraction" not in theirs  # which they divide, and we don't


def test_several_of_ours_may_be_one_of_theirs(tmp_path: Path) -> None:
    def long_ones(file: dict[str, Any]) -> None:
        rounded = file["questions"][5]["answers"]
        rounded[1:] = [{"theirs": ["long"], "ours": ["in_between", "cigar_shaped"]}]

    walk = load_crosswalk(changed(tmp_path, long_ones), TREE)
    answers = probabilities(0)
    theirs = in_their_words(walk, answers)
    own = answers[:, TREE.slices["how_rounded"]]
    expected = own[:, 1:].sum(axis=1) / own.sum(axis=1)
    np.testing.assert_allclose(theirs["how-rounded_long_fraction"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: f.update(tree="efigi"), "is of the tree 'efigi', and the catalogue's is 'galaxy_zoo_2'"),
        (
            lambda f: f["questions"].pop(3),
            "doesn't name each of the questions of galaxy_zoo_2 once: look at 'bar'",
        ),
        (lambda f: f["questions"].append(f["questions"][0]), "look at 'smooth_or_featured'"),
        (lambda f: f["questions"][3]["answers"].pop(), "each of the answers to bar once: look at 'no'"),
        (lambda f: f["questions"][3]["answers"][0].update(ours=["maybe"]), "look at 'maybe'"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        load_crosswalk(changed(tmp_path, change), TREE)
