"""Starting from other weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import InputError
from pipeline.network import Card, save_network
from pipeline.training import initial_network
from pipeline.tree import DecisionTree, joined, load_tree
from tests.training.small import SPEC, weights


@pytest.fixture
def saved(tree: DecisionTree, tmp_path: Path) -> str:
    uri = str(tmp_path / "before.safetensors")
    card = Card(network=SPEC, tree=tree.name, columns=tree.columns)
    save_network(initial_network(SPEC, tree, 7), uri, card, torch.float32)
    return uri


def test_the_same_answers_keep_everything(saved: str, tree: DecisionTree) -> None:
    assert torch.equal(
        weights(initial_network(SPEC, tree, 0, saved)), weights(initial_network(SPEC, tree, 7))
    )


def test_new_answers_start_anew_and_old_ones_stay(saved: str, tree: DecisionTree) -> None:
    efigi = load_tree(Path("configs/trees/efigi.yaml"))
    before = initial_network(SPEC, tree, 7)
    both = initial_network(SPEC, joined(efigi, tree), 0, saved)
    other = initial_network(SPEC, joined(efigi, tree), 0)
    assert torch.equal(*(each.convolutions[0].get_parameter("weight") for each in (both, before)))
    assert torch.equal(both.last.weight[32:], before.last.weight)
    assert torch.equal(both.last.weight[:32], other.last.weight[:32])


def test_other_layers_are_refused(saved: str, tree: DecisionTree) -> None:
    wider = SPEC.model_copy(
        update={"name": "wider", "dense": (SPEC.dense[0].model_copy(update={"units": 40}),)}
    )
    with pytest.raises(
        InputError, match=r"holds network 'small', whose layers differ from those of 'wider' in"
    ):
        initial_network(wider, tree, 0, saved)
    deeper = SPEC.model_copy(update={"name": "deeper", "viewpoint_dense": SPEC.dense[0]})
    with pytest.raises(InputError, match="differ from those of 'deeper'"):
        initial_network(deeper, tree, 0, saved)


def test_a_damaged_file_is_refused(saved: str, tree: DecisionTree) -> None:
    content = bytearray(Path(saved).read_bytes())
    content[-1] ^= 1
    Path(saved).write_bytes(content)
    with pytest.raises(InputError, match="the file is damaged"):
        initial_network(SPEC, tree, 0, saved)
