"""What decodes JPEGs: how it is settled, and that what was made by one is not continued by the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.catalogue import changed_settings
from pipeline.cutouts import list_shards
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.protocol import PlannedShard, make_plan
from pipeline.run import decoder
from pipeline.run.decoder import with_decoder
from pipeline.run.planning import deciding_settings, rows_of_a_unit
from pipeline.run.resources import check_decoder
from pipeline.run.run import Run, prepare
from pipeline.run.settings import StreamConfig, SurveyConfig
from pipeline.streaming.cluster import StreamResources
from pipeline.streaming.reading import open_inventory
from pipeline.tree import load_tree
from tests.faults.survey import write_survey
from tests.support.galaxies import galaxy, png


def config(**given: Any) -> StreamConfig:
    return StreamConfig.model_validate({"input": "in", "output": "out"} | given)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with TorchCodec and a GPU, as far as anything is asked here."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(decoder, "has_torchcodec", lambda: True)


def test_without_torchcodec_the_cpu_decodes_as_ever(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "has_torchcodec", lambda: False)
    settled = with_decoder(config(), needs_pixels=False)
    assert settled.decoder == "cpu"


def test_without_a_gpu_the_cpu_decodes_as_ever(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert with_decoder(config(), needs_pixels=False).decoder == "cpu"
    told = with_decoder(
        config(decoder="gpu"), needs_pixels=False
    )  # the driver's own machine needn't have one
    assert told.decoder == "gpu"


@pytest.mark.parametrize(
    ("given", "needs_pixels", "expected"),
    [
        ({}, False, "gpu"),
        ({}, True, "cpu"),
        ({"device": "cpu"}, False, "cpu"),
        ({"decoder": "cpu"}, False, "cpu"),
    ],
)
def test_a_gpu_decodes_where_it_may(
    gpu: None, given: dict[str, Any], needs_pixels: bool, expected: str
) -> None:
    assert with_decoder(config(**given), needs_pixels).decoder == expected


@pytest.mark.parametrize(
    ("given", "picture_bytes", "rows"),
    [
        ({}, 12_000, 1024),
        ({"unit_rows": 256}, 12_000, 256),
        ({"decoder": "cpu"}, 12_000, 256),
        ({}, 2_000_000, 256),  # PNGs of 1,200 pixels, say: decoded, 1,024 of them take 4.4 GB
    ],
    ids=["small", "as set", "by the CPU", "large"],
)
def test_units_are_larger_where_gpus_decode_small_pictures(
    given: dict[str, Any], picture_bytes: int, rows: int, tmp_path: Path
) -> None:
    settings = config(input=str(tmp_path), output=str(tmp_path / "out"), **{"decoder": "gpu"} | given)
    prepared = Run(settings, load_tree(), check_model(DEFAULT_WEIGHTS, load_tree()), open_inventory())
    shards = [PlannedShard(uri="a", size=5000 * picture_bytes, etag="e", rows=5000)]
    assert rows_of_a_unit(prepared, shards) == rows


@pytest.mark.parametrize(
    ("given", "needs_pixels", "why"),
    [({}, True, "measured first"), ({"device": "cpu"}, False, "device is cpu")],
)
def test_a_gpu_that_is_told_to_decode_what_it_cannot_is_refused(
    given: dict[str, Any], needs_pixels: bool, why: str
) -> None:
    with pytest.raises(InputError, match=f"decoder=gpu: .*{why}.* decoder=cpu"):
        with_decoder(config(decoder="gpu", **given), needs_pixels)


def test_a_cluster_without_gpus_is_no_place_for_a_run_that_they_decode_for() -> None:
    without = StreamResources(1, 0.5, 1, 0.5, 0.0, 1, 1 << 30)
    with pytest.raises(
        InputError, match=r"decoder=gpu .* Ray cluster has none: .* decoder=cpu .* new_run=true"
    ):
        check_decoder("gpu", without)
    check_decoder("gpu", replace(without, model_gpus=1.0))
    check_decoder("cpu", without)


@pytest.mark.parametrize("setting", ["precision=tf32", "decoder=gpu"])
def test_what_only_gpus_can_do_is_refused_before_a_plan_is_written(setting: str, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    name, _, value = setting.partition("=")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "galaxy.png").write_bytes(png(galaxy(1, 64)))
    with pytest.raises(InputError, match=rf"^{setting} is for GPUs, and torch can use none on this machine"):
        prepare(config(input=str(pictures), output=str(tmp_path / "out"), **{name: value}))
    assert not (tmp_path / "out").exists()


def test_explain_decodes_by_the_cpu(gpu: None) -> None:
    plain = SurveyConfig(input="in", output="out")
    assert with_decoder(plain, needs_pixels=False) is plain


def test_catalogues_of_before_are_those_of_the_cpu(gpu: None, tmp_path: Path) -> None:
    """Fingerprints from before there was a choice say nothing of a decoder, and the CPU's still don't."""
    cutouts = tmp_path / "cutouts"
    write_survey(cutouts, 4)
    shards = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows)
        for shard in list_shards(str(cutouts))
    ]
    deciding = {
        name: deciding_settings(
            prepare(config(input=str(cutouts), output=str(tmp_path / "out"), decoder=name))
        )
        for name in ("cpu", "gpu")
    }
    assert set(deciding["cpu"]) == {"weights", "tree", "classes", "transforms", "precision", "survey"}
    assert deciding["gpu"] == deciding["cpu"] | {"decoder": "gpu"}
    plans = {name: make_plan(shards, 256, settings) for name, settings in deciding.items()}
    assert changed_settings(plans["cpu"], plans["cpu"].fingerprint) == []
    assert changed_settings(plans["cpu"], plans["gpu"].fingerprint) == ["decoder (was cpu, is gpu)"]
    assert changed_settings(plans["gpu"], plans["cpu"].fingerprint) == ["decoder (was gpu, is cpu)"]
