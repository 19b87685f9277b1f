"""Weight files: what is saved comes back, and what is damaged is one clear line."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import InputError
from pipeline.network import Card, NetworkSpec, ViewpointNetwork, load_network, save_network
from pipeline.network.spec import ConvolutionSpec, DenseSpec
from pipeline.tree import Answer, DecisionTree, Question

SPEC = NetworkSpec(
    name="small",
    convolutions=(ConvolutionSpec(filters=3, kernel=8, pool=4), ConvolutionSpec(filters=2, kernel=3)),
    dense=(DenseSpec(units=4),),
)


@pytest.fixture
def network(tree: DecisionTree) -> ViewpointNetwork:
    return ViewpointNetwork(SPEC, tree).eval()


@pytest.fixture
def weights(network: ViewpointNetwork, tree: DecisionTree, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save(network, tree, path)
    return path


def save(
    network: ViewpointNetwork, tree: DecisionTree, path: Path, dtype: torch.dtype = torch.float16
) -> Card:
    card = Card(network=SPEC, tree=tree.name, columns=tree.columns, data={"galaxies": 5})
    return save_network(network, str(path), card, dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_what_is_saved_comes_back(
    dtype: torch.dtype, network: ViewpointNetwork, tree: DecisionTree, tmp_path: Path
) -> None:
    path = tmp_path / "small.safetensors"
    saved = save(network, tree, path, dtype)
    loaded, card = load_network(str(path), tree)
    assert card == saved
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert (card.network, card.columns, card.data) == (SPEC, tree.columns, {"galaxies": 5})
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, expected in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], expected.to(dtype).float()), name
    views = torch.rand(2, 16, 3, 45, 45)
    if dtype == torch.float32:
        assert torch.equal(loaded(views), network(views))


def test_a_lowered_network_keeps_its_last_layer(weights: Path, tree: DecisionTree) -> None:
    loaded, _ = load_network(str(weights), tree)
    lowered = loaded.lowered(torch.bfloat16)
    types = {name: parameter.dtype for name, parameter in lowered.named_parameters()}
    assert {name for name, dtype in types.items() if dtype == torch.float32} == {"last.weight", "last.bias"}
    assert (loaded.dtype, lowered.dtype) == (torch.float32, torch.bfloat16)
    views = torch.rand(2, 16, 3, 45, 45)
    assert 0 < float((lowered(views) - loaded(views)).abs().max()) < 0.02


def message(weights: Path, tree: DecisionTree) -> str:
    with pytest.raises(InputError) as error:
        load_network(str(weights), tree)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_absent_files_are_named(weights: Path, tree: DecisionTree) -> None:
    card = weights.with_suffix(".json")
    moved = weights.rename(weights.with_name("elsewhere"))
    assert "small.safetensors: it doesn't exist" in message(weights, tree)
    moved.rename(weights)
    card.unlink()
    assert message(weights, tree) == f"{weights} lacks its card, {card}; fetch it, too"
    weights.unlink()
    assert message(weights, tree).startswith(f"there are no weights {weights}")


def test_a_damaged_file_is_told_by_its_hash(weights: Path, tree: DecisionTree) -> None:
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert f"sha256 {hashlib.sha256(data).hexdigest()[:12]}" in message(weights, tree)
    weights.write_bytes(b"")
    assert "damaged or belongs to another card" in message(weights, tree)


def with_matching_hash(weights: Path, data: bytes) -> None:
    weights.write_bytes(data)
    edit_card(weights, lambda card: card.update(sha256=hashlib.sha256(data).hexdigest()))


def edit_card(weights: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    card = weights.with_suffix(".json")
    values = json.loads(card.read_text())
    edit(values)
    card.write_text(json.dumps(values))


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path(self.marker),))  # type: ignore[return-value]

    def __init__(self, marker: str) -> None:
        self.marker = marker


def test_content_that_is_no_network_is_one_line_and_never_unpickled(
    weights: Path, tree: DecisionTree, tmp_path: Path
) -> None:
    whole = weights.read_bytes()
    for data in (whole[:-100], whole[:20], b""):
        with_matching_hash(weights, data)
        assert "doesn't hold network 'small'" in message(weights, tree)
    marker = tmp_path / "exploded"
    pickle.loads(pickle.dumps(Bomb(str(marker))))
    assert marker.exists()
    marker.unlink()
    with_matching_hash(weights, pickle.dumps(Bomb(str(marker))))
    assert "doesn't hold network 'small'" in message(weights, tree)
    torch.save({"a": Bomb(str(marker))}, tmp_path / "bomb.pt")
    with_matching_hash(weights, (tmp_path / "bomb.pt").read_bytes())
    assert "doesn't hold network 'small'" in message(weights, tree)
    assert not marker.exists()


def test_a_card_of_another_network_is_one_line(weights: Path, tree: DecisionTree) -> None:
    edit_card(weights, lambda card: card["network"]["dense"][0].update(units=8))
    assert "size mismatch" in message(weights, tree)


def test_a_card_with_a_mistake_names_it(weights: Path, tree: DecisionTree) -> None:
    edit_card(weights, lambda card: card.update(colums=[]))
    assert "small.json: unknown key 'colums'; did you mean 'columns'?" in message(weights, tree)
    edit_card(weights, lambda card: (card.pop("colums"), card.pop("tree")))
    assert "small.json: 'tree' is missing" in message(weights, tree)
    weights.with_suffix(".json").write_text("{")
    assert "small.json is not a weight file's card" in message(weights, tree)
    weights.with_suffix(".json").write_text("[]")
    assert "small.json is not a weight file's card" in message(weights, tree)


def test_weights_of_another_tree_are_refused(weights: Path) -> None:
    other = DecisionTree("other", (Question("q", "?", (Answer("a", "A", None), Answer("b", "B", None))),))
    assert "answers tree 'galaxy_zoo_2' (37 answers), not 'other' (2)" in message(weights, other)
