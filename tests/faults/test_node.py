"""A Ray node killed in mid-run: the run goes on with those that are left.

With a decode actor on each node, decoded units are lost with the node as well: they are decoded again by an
actor that had finished, which has to find a place beside all the others (see `plan_resources`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.faults.harness import running, wait_for
from tests.faults.survey import write_survey
from tests.support.command import ROOT
from tests.support.tables import snapshot

GALAXIES = 120


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head and a worker node, two CPUs each, as processes of their own."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        yield cluster
    finally:
        ray.shutdown()  # whatever Ray runs in this process, its key-value store goes with a cluster
        cluster.shutdown()


@pytest.mark.long
def test_a_killed_node_is_done_without(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    write_survey(tmp_path / "cutouts", GALAXIES)
    words = ["classify", "input=cutouts", "output=out", "unit_rows=6", "model_threads=1", "decode_actors=2"]
    environment = {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled"}
    with running(words, tmp_path, environment) as run:
        wait_for(lambda: len(list(tmp_path.glob("out/runs/*/ledger/*.json"))) >= 2, seconds=180)
        raylet = worker.all_processes["raylet"][0].process.pid
        os.kill(raylet, signal.SIGKILL)
        assert len(list(tmp_path.glob("out/runs/*/ledger/*.json"))) < GALAXIES / 6
        assert run.wait() == 0, run.text()
    with running(["verify", "out"], tmp_path) as check:
        assert check.wait() == 0, check.text()
    rows = snapshot(str(tmp_path / "out/catalogue"))["object_id"].to_pylist()
    assert sorted(rows) == [f"g{index:06d}" for index in range(GALAXIES) if index % 13 != 5]
