"""Each stage of the stream called as Ray Data calls it, without Ray."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline.averaging import naive_average
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.errors import InputError
from pipeline.geometry import IDENTITY, Transform, averaging_transforms
from pipeline.network import (
    Card,
    Ensemble,
    NetworkSpec,
    RegionBatch,
    ViewpointNetwork,
    ViewpointSampler,
    check_model,
    load_network,
    load_networks,
    save_ensemble,
    save_network,
)
from pipeline.protocol import LedgerEntry, RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming.decode import DECODED_SCHEMA, DecodeActor, decode_unit, unit_of
from pipeline.streaming.model import ModelActor
from pipeline.streaming.rows import DecodeSettings
from pipeline.streaming.sink import write_unit
from pipeline.tree import GALAXY_ZOO_2, load_tree

TREE = load_tree()
SPEC = NetworkSpec.model_validate(
    {
        "name": "tiny",
        "convolutions": [{"filters": 4, "kernel": 6, "pool": 4}, {"filters": 6, "kernel": 3, "pool": 4}],
        "dense": [{"units": 8}],
    }
)


def png(seed: int, width: int = 120, height: int = 100) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> str:
    """Ten rows: three sizes of frame, one bad image, one null id, one null image, one frame out of range."""
    rows = [{"object_id": f"g{i}", "image": png(i), "ra": 1.0 * i} for i in range(10)]
    rows[1] |= {"frame_pixels": 60.0, "center_x": 50.2, "center_y": 48.9}
    rows[2] |= {"frame_pixels": 60.0}
    rows[4]["image"] = b"no picture"
    rows[5]["object_id"] = None
    rows[6]["image"] = None
    rows[7]["frame_pixels"] = 1e9
    rows[8] |= {"center_x": 500.0, "center_y": 0.0}
    path = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA), path, row_group_size=3)
    return str(path)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(3)
    network = ViewpointNetwork(SPEC, TREE)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("weight"):
                parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
    uri = str(tmp_path / "tiny.safetensors")
    save_network(network, uri, Card(network=SPEC, tree=TREE.name, columns=TREE.columns), torch.float32)
    return uri


def test_a_unit_survives_the_trip_through_a_batch() -> None:
    for unit in (WorkUnit(3, "s", 4, 9), WorkUnit(4, "s", 9, 12, (10, 11))):
        assert unit_of(pa.Table.from_pylist([asdict(unit)])) == unit


def test_bad_rows_carry_their_reason_and_good_ones_their_pixels(shard: str) -> None:
    table = DecodeActor()(pa.Table.from_pylist([asdict(WorkUnit(0, shard, 0, 10, (9,)))]))
    assert table.schema == DECODED_SCHEMA
    rows = table.to_pylist()
    assert [row["reason"] for row in rows] == [
        None,
        None,
        None,
        None,
        "not_an_image",
        "no_object_id",
        "empty",
        "bad_frame",
        "bad_center",
        "duplicate_object_id",
    ]
    for row in rows:
        assert (row["pixels"] is None) == (row["reason"] is not None) == (row["message"] is not None)
        if row["pixels"]:
            assert len(row["pixels"]) == row["side"] ** 2 * 3
    assert rows[0]["scale"] == pytest.approx(120 / 424)
    assert rows[1]["scale"] == pytest.approx(60 / 424)
    assert rows[1]["center_x"] % 1 == pytest.approx(0.2)


def test_a_unit_in_the_middle_of_a_shard(shard: str) -> None:
    rows = decode_unit(WorkUnit(1, shard, 2, 5)).to_pylist()
    assert [(row["row"], row["object_id"]) for row in rows] == [(2, "g2"), (3, "g3"), (4, "g4")]


@pytest.mark.parametrize("transforms", [60, 1])
def test_the_model_stage_is_the_mean_of_single_passes(shard: str, weights: str, transforms: int) -> None:
    decoded = decode_unit(WorkUnit(0, shard, 0, 10))
    answered = ModelActor(weights, str(GALAXY_ZOO_2), transforms, "float32", 1)(decoded)
    network, _ = load_network(weights, TREE)
    views: tuple[Transform, ...] = averaging_transforms() if transforms == 60 else (IDENTITY,)
    for row, answer in zip(decoded.to_pylist(), answered["probabilities"].to_pylist(), strict=True):
        if row["reason"] is not None:
            continue
        side = row["side"]
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(1, side, side, 3).copy()
        batch = RegionBatch(
            torch.from_numpy(pixels),
            torch.tensor([[row["center_x"], row["center_y"]]], dtype=torch.float64),
            torch.tensor([row["scale"]], dtype=torch.float64),
        )
        expected = naive_average(network, ViewpointSampler(), batch, views)[0].numpy()
        assert expected.std() > 0.05
        assert np.abs(np.array(answer) - expected).max() < 1e-5


@pytest.mark.parametrize("transforms", [60, 1])
def test_an_ensemble_is_the_mean_of_its_networks_each_in_its_own_frame(
    shard: str, weights: str, transforms: int, tmp_path: Path
) -> None:
    """Of two networks that see frames as they are, and two that see them recentred in different ways."""
    members = {}
    for seed, threshold in enumerate((None, None, 2.0, 0.5)):
        recentring = None if threshold is None else {"threshold": threshold}
        spec = NetworkSpec.model_validate(SPEC.model_dump() | {"recentring": recentring, "name": f"n{seed}"})
        torch.manual_seed(seed)
        network = ViewpointNetwork(spec, TREE)
        card = Card(network=spec, tree=TREE.name, columns=TREE.columns)
        saved = save_network(network, str(tmp_path / f"n{seed}.safetensors"), card, torch.float32)
        members[f"n{seed}.safetensors"] = saved.sha256
    uri = str(tmp_path / "four.ensemble.json")
    save_ensemble(uri, Ensemble(name="four", members=members))
    model = check_model(uri, TREE)
    assert (model.name, model.recentrings) == ("four", (0.5, 2.0))
    unit = WorkUnit(0, shard, 0, 10)
    isolated = DecodeActor(isolated=True, settings=DecodeSettings(model.recentrings))
    decoded = isolated(pa.Table.from_pylist([asdict(unit)]))
    own = decode_unit(unit, settings=DecodeSettings(model.recentrings))
    assert decoded.drop(["decode_seconds"]) == own.drop(["decode_seconds"])
    together = ModelActor(uri, str(GALAXY_ZOO_2), transforms, "float32", 1)(decoded)
    views: tuple[Transform, ...] = averaging_transforms() if transforms == 60 else (IDENTITY,)
    networks = load_networks(uri, TREE)
    for row, answer in zip(decoded.to_pylist(), together["probabilities"].to_pylist(), strict=True):
        if row["reason"] is not None:
            continue
        plain = (row["center_x"], row["center_y"], row["scale"])
        frames = [plain, plain, row["recentred"][1], row["recentred"][0]]
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(1, row["side"], row["side"], 3).copy()
        each = []
        for network, (x, y, scale) in zip(networks, frames, strict=True):
            batch = RegionBatch(
                torch.from_numpy(pixels),
                torch.tensor([[x, y]], dtype=torch.float64),
                torch.tensor([scale], dtype=torch.float64),
            )
            each.append(naive_average(network, ViewpointSampler(), batch, views)[0].numpy())
        assert np.abs(np.array(answer) - np.mean(each, axis=0)).max() < 1e-5


def test_an_ensemble_whose_member_was_trained_anew_is_refused(weights: str, tmp_path: Path) -> None:
    uri = str(tmp_path / "one.ensemble.json")
    save_ensemble(uri, Ensemble(name="one", members={"tiny.safetensors": "f" * 64}))
    with pytest.raises(InputError, match=r"member tiny\.safetensors has sha256 .* expected ffffffffffff…"):
        check_model(uri, TREE)
    Path(uri).write_text("[]")
    with pytest.raises(InputError, match="is not an ensemble: it holds list"):
        check_model(uri, TREE)


def test_the_sink_balances_its_books(shard: str, weights: str, tmp_path: Path) -> None:
    unit = WorkUnit(7, shard, 0, 10, (9,))
    answered = ModelActor(weights, str(GALAXY_ZOO_2), 1, "float32", 1)(decode_unit(unit))
    layout = RunLayout(str(tmp_path / "out"), "run")
    (done,) = write_unit(answered, layout, TREE, "w" * 64)["entry"].to_pylist()
    entry = read_ledger(layout)[7]
    assert LedgerEntry.model_validate_json(done) == entry
    assert (entry.rows, entry.classified) == (10, 4)
    assert entry.quarantined == {
        "not_an_image": 1,
        "no_object_id": 1,
        "empty": 1,
        "bad_frame": 1,
        "bad_center": 1,
        "duplicate_object_id": 1,
    }
    assert entry.part is not None
    rows = pq.read_table(f"{layout.parts}/{entry.part.name}").to_pylist()
    assert [row["object_id"] for row in rows] == ["g0", "g1", "g2", "g3"]
    assert [row["input"] for row in rows] == [f"{shard}#{i}" for i in range(4)]


def test_an_answer_that_is_no_number_is_quarantined(shard: str, weights: str, tmp_path: Path) -> None:
    answered = ModelActor(weights, str(GALAXY_ZOO_2), 1, "float32", 1)(decode_unit(WorkUnit(0, shard, 0, 3)))
    values = np.array(answered["probabilities"].to_pylist(), np.float32)
    values[1, 5] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), TREE.answer_count)
    answered = answered.set_column(answered.schema.get_field_index("probabilities"), "probabilities", column)
    layout = RunLayout(str(tmp_path / "out"), "run")
    write_unit(answered, layout, TREE, "w" * 64)
    assert read_ledger(layout)[0].quarantined == {"not_finite": 1}
