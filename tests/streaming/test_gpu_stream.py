"""The stream on a cluster of which Ray believes that it has GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from jobs.bench.stream import IdentityModel
from pipeline.cutouts import list_shards
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import PlannedShard, RunLayout, make_plan
from pipeline.streaming import StreamSettings, connect, finished_units, plan_resources, unit_stream
from pipeline.tree import GALAXY_ZOO_2
from tests.faults.survey import write_survey
from tests.support.command import ROOT

SETTINGS = StreamSettings(DEFAULT_WEIGHTS, "0" * 64, str(GALAXY_ZOO_2), 1, "float32")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ray.shutdown()  # what other tests have left running
    head = {"num_cpus": 2, "num_gpus": 2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    try:
        connect()
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.long
def test_a_model_actor_a_gpu_and_units_stay_whole(cluster: None, tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 20)
    shards = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows)
        for shard in list_shards(str(tmp_path / "cutouts"))
    ]
    plan = make_plan(shards, 4, {})
    units, layout, resources = (
        list(plan.units()),
        RunLayout(str(tmp_path / "out"), plan.run),
        plan_resources(),
    )
    assert (resources.model_actors, resources.model_gpus) == (2, 1)
    entries = list(finished_units(unit_stream(units, layout, SETTINGS, resources, model=IdentityModel)))
    assert sorted((entry.unit, entry.rows) for entry in entries) == [
        (unit.index, unit.rows) for unit in units
    ]
