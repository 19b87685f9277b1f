"""Clusters without a node: what an autoscaler can add is waited for; what nobody can is told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import running, wait_for
from tests.faults.survey import write_survey
from tests.integration.scaling import ScalingCluster, scaling_cluster
from tests.support.command import tuningfork
from tests.support.tables import snapshot

GALAXIES = 40
WORDS = ["input=cutouts", "unit_rows=8", "transforms=1", "model_threads=1"]
CPU, GPU = {"CPU": 2.0, "object_store_memory": 400e6}, {"CPU": 2.0, "GPU": 1.0, "object_store_memory": 400e6}


def at(cluster: ScalingCluster) -> dict[str, str]:
    return {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled"}


def check_refused(cluster: ScalingCluster, folder: Path, status: int, *words: str) -> str:
    """Run a job that can't begin; its line."""
    done = tuningfork("classify", *WORDS, "output=refused", *words, cwd=folder, environment=at(cluster))
    assert done.returncode == status, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(folder.glob("refused/runs/*/ledger/*"))
    return done.stderr


def test_a_cluster_that_has_no_node_and_gets_none(tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 8, shards=1)
    with scaling_cluster({}) as cluster:
        with running(["classify", *WORDS, "output=refused"], tmp_path, at(cluster)) as run:
            with cluster.before_first_look():
                wait_for(lambda: "Asking the cluster's autoscaler" in run.text(), seconds=60)
            assert run.wait() == 2, run.text()
        assert (
            "the Ray cluster has 0 CPUs, and no autoscaler that could add any; at least 1 is needed"
            in run.text()
        )


@pytest.mark.long
def test_from_no_node_up_and_back_and_up_again(tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", GALAXIES)
    with scaling_cluster({"cpu": CPU}) as cluster:
        for output in ("one", "two"):
            wait_for(lambda: cluster.workers == 0, seconds=120)
            words = ["classify", *WORDS, f"output={output}", "model_actors=2"]
            with running(words, tmp_path, at(cluster)) as run:
                wait_for(lambda: cluster.workers == 2, seconds=120)
                assert run.wait() == 0, run.text()
                assert "Asking the cluster's autoscaler for 2 nodes" in run.text()
            with running(["verify", output], tmp_path) as check:
                assert check.wait() == 0, check.text()
            rows = snapshot(str(tmp_path / output / "catalogue"))["object_id"].to_pylist()
            assert sorted(rows) == [f"g{index:06d}" for index in range(GALAXIES) if index % 13 != 5]
        wait_for(lambda: cluster.workers == 0, seconds=120)


@pytest.mark.long
def test_gpus_are_had_where_the_cluster_could_add_some(tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 8, shards=1)
    with scaling_cluster({"cpu": CPU, "gpu": GPU}) as cluster:
        line = check_refused(cluster, tmp_path, 1, "node_wait=0", "device=gpu")
        assert "a GPU didn't come within 0 s" in line
        wait_for(lambda: cluster.workers == 0, seconds=120)
        # This machine has none: torch refuses the node that came because of it.
        line = check_refused(cluster, tmp_path, 2)
        assert "this node has a GPU that torch can't use" in line


@pytest.mark.long
def test_a_gpu_that_no_kind_of_node_has(tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 8, shards=1)
    with scaling_cluster({"cpu": CPU}) as cluster:
        line = check_refused(cluster, tmp_path, 2, "device=gpu")
        assert "has no GPU, and no autoscaler that could add one; device=gpu demands one" in line
