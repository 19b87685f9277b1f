"""Training from an object store, and onto it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs import train
from pipeline import storage
from pipeline.network import load_network
from pipeline.training.weights import TrainConfig
from pipeline.tree import DecisionTree
from tests.training.small import write_training


def test_galaxies_checkpoints_and_weights_may_all_be_on_a_store(
    bucket: str, tree: DecisionTree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = write_training(tmp_path, tree, examples=64)[1:]
    for path in (tmp_path / "galaxies").rglob("*.*"):
        storage.write_bytes(f"{bucket}/{path.relative_to(tmp_path)}", path.read_bytes())
    values = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in words)}
    values |= {"data": f"{bucket}/galaxies", "output": f"{bucket}/weights", "checkpoint_every": 16}
    config = TrainConfig.model_validate(values)
    train.run(config)
    weights = f"{bucket}/weights/small.safetensors"
    network, card = load_network(weights, tree)
    assert card.data["galaxies"] == 18
    names = [storage.name(file.uri) for file in storage.list_files(f"{bucket}/weights/small.run")]
    assert sum(name.endswith(".safetensors") for name in names) == 2
    assert {"run.json", "log.jsonl", "events.out.tfevents.0.training"} <= set(names)
    # Without its weights the run is there still, and ends again where it had ended.
    storage.remove(weights)
    train.run(config)
    again, _ = load_network(weights, tree)
    assert all((a == b).all() for a, b in zip(again.parameters(), network.parameters(), strict=True))
    assert "Continues after 64 of 64 examples" in capsys.readouterr().out
