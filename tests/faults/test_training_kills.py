"""Training goes on after its worker or its driver was killed, and comes to the same end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline.tree import DecisionTree
from tests.faults.harness import Run, running, wait_for
from tests.support.command import ROOT, tuningfork
from tests.training.small import log_of, write_training

EXAMPLES = 1440
WORKER = "RayTrainWorker"


@pytest.fixture(scope="module")
def trained(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Words of the command line, and the output of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("training")
    words = write_training(folder, tree, examples=EXAMPLES, augmentation={}, average_decay=0.99)
    words += ["workers=2", "checkpoint_every=240", "evaluate_every=720"]
    done = tuningfork(*words, f"output={folder}/undisturbed", cwd=folder)
    assert done.returncode == 0, done.stderr
    return words, folder / "undisturbed"


def checkpoints(output: Path) -> list[int]:
    """Examples shown at each checkpoint that is there."""
    folder = output / "small.run" / "checkpoints"
    return [int(path.name.split("-")[0]) for path in folder.glob("*.safetensors")]


def wait_for_checkpoint(run: Run, output: Path) -> None:
    wait_for(lambda: bool(checkpoints(output)) or run.process.poll() is not None, seconds=240)
    assert run.process.poll() is None, run.text()
    assert max(checkpoints(output)) < EXAMPLES, "too fast to be killed in the middle"


def check_same_curve(output: Path, undisturbed: Path, rel: float = 1e-3) -> None:
    found, expected = log_of(output), log_of(undisturbed)
    assert [row["seen"] for row in found] == [row["seen"] for row in expected]
    assert len(found) == EXAMPLES // 16

    def numbers(rows: list[dict[str, Any]], name: str) -> list[float]:
        return [row[name] for row in rows if name in row]

    for name in ("loss", "rmse"):
        assert numbers(found, name) == pytest.approx(numbers(expected, name), rel=rel)


@pytest.mark.long
def test_a_worker_is_killed(trained: tuple[list[str], Path], tmp_path: Path) -> None:
    words, undisturbed = trained
    output = tmp_path / "out"
    with running([*words, f"output={output}"], tmp_path) as run:
        wait_for_checkpoint(run, output)
        run.kill(WORKER)
        assert run.process.wait(300) == 0, run.text()
    check_same_curve(output, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_says_so_and_loses_nothing(
    number: signal.Signals, status: int, trained: tuple[list[str], Path], tmp_path: Path
) -> None:
    words, undisturbed = trained
    output = tmp_path / "out"
    with running([*words, f"output={output}"], tmp_path) as run:
        wait_for_checkpoint(run, output)
        run.process.send_signal(number)
        assert run.process.wait(60) == status, run.text()
        assert run.text().splitlines()[-1] == "tuningfork: interrupted; the same command continues"
        assert "Traceback" not in run.text()
        wait_for(lambda: not list(run.processes()), seconds=30)
    reached = max(checkpoints(output))
    assert reached % 240, "none but those that come anyhow"
    again = tuningfork(*words, f"output={output}", cwd=tmp_path)
    assert f"Continues after {reached:,} of {EXAMPLES:,} examples" in again.stdout, again.stderr
    check_same_curve(output, undisturbed)


@pytest.mark.long
def test_one_worker_that_is_stopped_goes_on_with_the_very_same_bits(
    tree: DecisionTree, tmp_path: Path
) -> None:
    words = [*write_training(tmp_path, tree, examples=800, augmentation={}), "checkpoint_minutes=0.001"]
    environment = {"OMP_NUM_THREADS": "1"}
    output = tmp_path / "stopped"
    with running([*words, f"output={output}"], tmp_path, environment) as run:
        wait_for(lambda: bool(checkpoints(output)) or run.process.poll() is not None, seconds=60)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(60) == 143, run.text()
    reached = max(checkpoints(output))
    for folder in ("stopped", "undisturbed"):
        done = tuningfork(*words, f"output={tmp_path / folder}", cwd=tmp_path, environment=environment)
        assert done.returncode == 0, done.stderr
        assert (f"Continues after {reached:,} of 800 examples" in done.stdout) == (folder == "stopped")
    assert log_of(output) == log_of(tmp_path / "undisturbed")
    stopped, whole = (
        (tmp_path / folder / "small.safetensors").read_bytes() for folder in ("stopped", "undisturbed")
    )
    assert stopped == whole


@pytest.mark.long
def test_the_driver_is_killed_and_the_command_is_run_again(
    trained: tuple[list[str], Path], tmp_path: Path
) -> None:
    words, undisturbed = trained
    output = tmp_path / "out"
    with running([*words, f"output={output}"], tmp_path) as run:
        wait_for_checkpoint(run, output)
        os.kill(run.process.pid, signal.SIGKILL)
    reached = max(checkpoints(output))
    again = tuningfork(*words, f"output={output}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"Continues after {reached:,} of {EXAMPLES:,} examples" in again.stdout
    check_same_curve(output, undisturbed)
    once_more = tuningfork(*words, f"output={output}", cwd=tmp_path)
    assert once_more.returncode == 0
    assert "is complete" in once_more.stdout


@pytest.mark.long
def test_a_node_is_killed(
    trained: tuple[list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker on each of two nodes; with one of them, decoded galaxies are lost as well."""
    words, undisturbed = trained
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
        cluster.wait_for_nodes()
        output = tmp_path / "out"
        environment = {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled"}
        with running([*words, f"output={output}"], tmp_path, environment) as run:
            wait_for_checkpoint(run, output)
            os.kill(nodes[1].all_processes["raylet"][0].process.pid, signal.SIGKILL)
            assert run.process.wait(400) == 0, run.text()
    finally:
        ray.shutdown()  # whatever Ray runs in this process, its key-value store goes with a cluster
        cluster.shutdown()
    # Workers have two threads here, whose sums differ in the last digits, and that grows from step to step.
    check_same_curve(output, undisturbed, rel=0.02)


@pytest.mark.long
def test_another_training_is_not_mixed_into_it(trained: tuple[list[str], Path], tmp_path: Path) -> None:
    words, undisturbed = trained
    (undisturbed / "small.safetensors").rename(tmp_path / "kept")
    try:
        other = tuningfork(*words, f"output={undisturbed}", "seed=5", cwd=tmp_path)
    finally:
        (tmp_path / "kept").rename(undisturbed / "small.safetensors")
    assert other.returncode == 2
    assert "holds a training with other recipe; name another output or remove it" in other.stderr
