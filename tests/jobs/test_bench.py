"""The bench verbs measure what they say; their figures are the machine's own affair."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.bench.feed import FeedBenchConfig, measure_feed
from jobs.cli import main
from tests.support.command import ROOT, tuningfork


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *words])
    assert stop.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_averaging(capsys: pytest.CaptureFixture[str], precision: str) -> None:
    found = measured(
        capsys, "averaging", f"precision={precision}", "galaxies=1", "repeats=1", "naive_batches=[1,2]"
    )
    assert 0 < found["largest_difference"] < (1e-5 if precision == "float32" else 2e-3)
    ratio = found["shared_galaxies_per_second"] / found["naive_galaxies_per_second"]
    assert found["speedup_ratio"] == pytest.approx(ratio, rel=0.05)
    assert sum(found["stage_shares"].values()) == pytest.approx(1, abs=0.01)
    # 15 × 386 M multiply-adds in the convolutions of each galaxy, 15 × 4.2 M and little else above them
    each = found["shared_gflops"] / found["shared_galaxies_per_second"] / 2
    assert each == pytest.approx(5.86, rel=0.05)
    assert found["naive_batch"] in (1, 2)


@pytest.mark.long
def test_an_ensemble(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "ensemble", "galaxies=1", "repeats=1")
    assert found["networks"] == ["compact"] * 3
    assert found["ensemble_galaxies_per_second"] > 0


def test_decoding(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "decode", "galaxies=16", "side=128", "repeats=1")
    assert found["milliseconds_each"] * found["galaxies_per_second_a_core"] == pytest.approx(1000, rel=0.02)
    assert sum(found["stage_shares"].values()) == pytest.approx(1, abs=0.01)


@pytest.mark.long
def test_the_pieces_of_the_stream_without_ray() -> None:
    found = measure_feed(
        FeedBenchConfig(galaxies=6, unit_rows=4, side=128, decoder="cpu", precision="float32", repeats=1)
    )
    assert min(found["galaxies_per_second"].values()) > 0
    assert found["left_to_cpu"] == 0
    damaged = found["damaged"]
    assert damaged["noticed_by_cpu"] == damaged["noticed_by_decoder"] > 50


@pytest.mark.long
def test_the_stream_without_a_model(tmp_path: Any) -> None:
    words = ("bench", "stream", "model=identity", "galaxies=[64,96]", "unit_rows=16", "side=128")
    done = tuningfork(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["galaxies"] for run in found["runs"]] == [64, 96]
    assert "Streaming: 96 of 96 galaxies" in done.stderr
    assert all(run["galaxies_per_second"] > 1 for run in found["runs"])
    assert "model_alone_galaxies_per_second" not in found["runs"][0]


@pytest.mark.long
def test_the_stream_is_held_against_the_model_alone(tmp_path: Any) -> None:
    words = ("galaxies=[24]", "unit_rows=8", "side=128", "transforms=1", "precision=float32", "repeats=2")
    done = tuningfork("bench", "stream", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert run["stream_to_model_alone_ratio"] > 0
    # How long the model waits is the machine's affair; that Ray's statistics were found and make sense isn't.
    assert 0 <= run["model_waiting_ratio"] < 1


def test_training(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "training", "galaxies=4", "batch_size=4", "repeats=1", "micro_batch=2")
    # Three times 16 × 24.5 M multiply-adds in the convolutions of each galaxy, and 2.2 M in its dense layers.
    assert found["gflops"] / found["examples_per_second"] == pytest.approx(2.37, rel=0.05)
    assert found["gemm_share_ratio"] == pytest.approx(found["gflops"] / found["gemm_gflops"], rel=0.02)
    assert set(found["stage_milliseconds"]) == {"galaxies", "views", "forward", "backward", "update"}
    assert min(found["stage_milliseconds"].values()) > 0
    assert found["step_milliseconds"] * found["examples_per_second"] == pytest.approx(4000, rel=0.02)
    assert (found["resident"], found["compiled"]) == (True, False)


@pytest.mark.parametrize(
    "verb", ["decode", *(pytest.param(verb, marks=pytest.mark.long) for verb in ("averaging", "training"))]
)
def test_a_machine_without_ray_can_be_measured(verb: str, tmp_path: Any) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('there is no Ray here')")
    words = (
        "bench",
        verb,
        "galaxies=2",
        "repeats=1",
        *(["batch_size=2"] if verb == "training" else []),
        *(["naive_batches=[2]"] if verb == "averaging" else []),
    )
    done = tuningfork(*words, cwd=tmp_path, environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.returncode == 0, done.stderr
