"""Dry runs of `classify`: they wait for no node, and measure on the device that the run is going to use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import ray

from jobs import classify
from jobs.bench import timing
from jobs.classify import ClassifyConfig
from tests.faults.survey import write_survey
from tests.support.command import RAY_SETTINGS


@pytest.fixture
def survey(tmp_path: Path) -> dict[str, Any]:
    write_survey(tmp_path / "cutouts", 4)
    return {"input": str(tmp_path / "cutouts"), "output": str(tmp_path / "out")}


def test_a_cluster_that_has_no_node_up_is_not_waited_for(
    survey: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An autoscaler would have to add one; a run on this cluster, which has none, is refused."""
    for name, value in RAY_SETTINGS.items():
        monkeypatch.setenv(name, value)
    ray.shutdown()  # what other tests have left running
    ray.init(num_cpus=0, num_gpus=0, include_dashboard=False, log_to_driver=False)
    try:
        monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
        classify.run(ClassifyConfig(**survey, rate=1), dry_run=True)
    finally:
        ray.shutdown()
    said = capsys.readouterr().out
    assert "No GPU is up in the cluster, and a dry run asks for none" in said
    assert "nothing was written" in said
    assert not os.path.exists(survey["output"])


def test_with_device_cpu_no_gpu_is_measured(
    survey: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timing, "device", lambda: "cuda")  # which this machine needn't have
    classify.run(ClassifyConfig(**survey, device="cpu", transforms=1), dry_run=True)
    assert "machine-hours in all" in capsys.readouterr().out
