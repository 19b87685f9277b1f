"""Jobs submitted to a cluster: a head without work and its workers, sources and catalogue in a real store."""

from __future__ import annotations

import http
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline import storage
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.harness import wait_for
from tests.faults.survey import cutout_table
from tests.support.command import RAY_SETTINGS, ROOT, tuningfork, tuningfork_here

GALAXIES = 120
PLAIN = {"RAY_AUTH_MODE": "disabled"}


@dataclass
class RunningCluster:
    """A cluster, and the address that takes jobs."""

    cluster: Cluster
    address: str

    @property
    def session(self) -> Path:
        """Logs of all nodes, and what jobs brought with them."""
        head: Any = self.cluster.head_node
        return Path(head.get_session_dir_path())


@pytest.fixture
def workers() -> int:
    """Nodes that work; a test says it where it needs more."""
    return 1


@pytest.fixture
def running_cluster(
    in_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, workers: int
) -> Iterator[RunningCluster]:
    """Nodes that have the store's credentials in their own environment, as on a real cluster."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": port, "dashboard_host": "127.0.0.1"}
    # Else a fixed one, which any connection may hold: the head's agent then takes no jobs.
    head["dashboard_agent_listen_port"] = 0
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(workers):
            cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        yield RunningCluster(cluster, f"http://127.0.0.1:{port}")
    finally:
        ray.shutdown()  # whatever Ray runs in this process, its key-value store goes with a cluster
        cluster.shutdown()


@pytest.fixture
def words(bucket: str) -> list[str]:
    """As `survey_words`."""
    return survey_words(bucket)


def survey_words(bucket: str) -> list[str]:
    """A run over 120 galaxies in 20 units, in a bucket."""
    for number in range(3):
        sink = pa.BufferOutputStream()
        pq.write_table(cutout_table(number * 40, 40), sink)
        storage.write_bytes(f"{bucket}/cutouts/shard-{number}.parquet", sink.getvalue().to_pybytes())
    return [f"input={bucket}/cutouts", f"output={bucket}/out", "unit_rows=6", "model_threads=1"]


def submit(
    verb: str, words: list[str], address: str, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Submit from a machine without credentials of its own."""
    place = {name: os.environ[name] for name in ("AWS_ENDPOINT_URL",)}
    return tuningfork("submit", verb, *words, "--address", address, cwd=cwd, environment=PLAIN | place | more)


def check_complete(bucket: str, folder: Path, in_store: ObjectStore) -> None:
    environment = in_store.environment | no_other_keys()
    check = tuningfork_here("verify", f"{bucket}/out", cwd=folder, environment=environment)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "120 input rows = 111 classified + 9 quarantined" in check.stdout


def test_a_job_is_submitted_followed_and_complete(
    running_cluster: RunningCluster, words: list[str], bucket: str, in_store: ObjectStore, tmp_path: Path
) -> None:
    done = submit("classify", [*words, "transforms=1"], running_cluster.address, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "111 galaxies classified, 9 quarantined" in done.stdout
    check_complete(bucket, tmp_path, in_store)
    check_no_secrets(running_cluster, bucket, in_store, done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("workers", [2])
def test_a_job_may_refresh_and_its_status_is_the_verbs(
    running_cluster: RunningCluster, words: list[str], bucket: str, in_store: ObjectStore, tmp_path: Path
) -> None:
    done = submit("classify", words, running_cluster.address, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    again = submit("refresh", words, running_cluster.address, tmp_path, TUNINGFORK_LOG="json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r'^{.*"event": "message", "message": "Nothing changed', again.stdout, re.MULTILINE)
    bad = submit("classify", [*words, "transforms=1"], running_cluster.address, tmp_path)
    assert bad.returncode == 2
    assert "made from something else: transforms" in bad.stdout
    check_no_secrets(running_cluster, bucket, in_store, done.stdout + again.stdout + bad.stdout)


def check_no_secrets(cluster: RunningCluster, bucket: str, store: ObjectStore, printed: str) -> None:
    """In no log, plan, configuration or record of a job."""
    with urllib.request.urlopen(f"{cluster.address}/api/jobs/") as reply:
        jobs = reply.read()
    assert json.loads(jobs)
    places = {"what was printed": printed.encode(), "the jobs": jobs}
    places |= store.objects(bucket.removeprefix("s3://"))
    places |= {str(path): path.read_bytes() for path in cluster.session.rglob("*") if path.is_file()}
    for kind in ("logs/job-driver", "logs/worker-", "logs/raylet.out", "submitted.yaml"):
        assert any(kind in name for name in places), kind
    for key in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        value = store.environment[key].encode()
        assert not [name for name, content in places.items() if value in content], key


@pytest.mark.long
@pytest.mark.parametrize("workers", [2])
def test_a_node_is_killed_in_mid_run(
    running_cluster: RunningCluster, words: list[str], bucket: str, in_store: ObjectStore, tmp_path: Path
) -> None:
    ledger = f"{bucket}/out/runs"

    def kill() -> None:
        wait_for(lambda: len(storage.list_files(ledger, ".json")) >= 4, seconds=240)
        worker = sorted(running_cluster.cluster.worker_nodes, key=lambda node: node.unique_id)[0]
        os.kill(worker.all_processes["raylet"][0].process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = submit("classify", words, running_cluster.address, tmp_path)
    killer.join()
    assert done.returncode == 0, done.stdout + done.stderr
    check_complete(bucket, tmp_path, in_store)


@pytest.mark.long
def test_a_job_that_runs_is_followed_not_doubled(
    running_cluster: RunningCluster, words: list[str], bucket: str, in_store: ObjectStore, tmp_path: Path
) -> None:
    first = submit("classify", [*words, "--no-wait"], running_cluster.address, tmp_path)
    assert first.returncode == 0, first.stderr
    second = submit("classify", words, running_cluster.address, tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "is running already" in second.stdout
    check_complete(bucket, tmp_path, in_store)


@pytest.mark.long
def test_a_plain_ray_job_does_it_too(
    running_cluster: RunningCluster, words: list[str], bucket: str, in_store: ObjectStore, tmp_path: Path
) -> None:
    command = ["ray", "job", "submit", "--address", running_cluster.address, "--working-dir", str(ROOT)]
    environment = os.environ | PLAIN
    done = subprocess.run(
        [*command, "--", "python", "-m", "jobs", "classify", *words],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check_complete(bucket, tmp_path, in_store)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", pytest.param("nonsense://x", marks=pytest.mark.long)]
)
def test_a_wrong_address_is_one_clear_line(address: str, tmp_path: Path) -> None:
    done = tuningfork_here("submit", "classify", "input=a", "output=b", "--address", address, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"no Ray cluster takes jobs at {address}" in line
    assert "http://HOST:8265" in line


def test_a_verb_that_cannot_be_submitted(tmp_path: Path) -> None:
    done = tuningfork_here("submit", "export", "--address", "http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2
    assert "submit takes one of classify, detect, refresh, train; it was given 'export'" in done.stderr


TOKEN = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def guarded_cluster() -> Iterator[str]:
    """A head that takes jobs only with its token; the address of its dashboard."""
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, dashboard = free.getsockname()[1], other.getsockname()[1]
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    environment = os.environ | RAY_SETTINGS | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    words = [
        f"--port={port}",
        f"--dashboard-port={dashboard}",
        "--dashboard-agent-listen-port=0",
        "--num-cpus=1",
    ]
    folder = tempfile.mkdtemp(prefix="ray-")  # sockets below it have short names only
    words += ["--object-store-memory=80000000", f"--temp-dir={folder}", "--block"]
    head = subprocess.Popen([*ray, "start", "--head", *words], env=environment, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_for(lambda: _asks_for_its_token(address), 120)
        yield address
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _asks_for_its_token(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == http.HTTPStatus.UNAUTHORIZED
    except OSError:
        return False
    return False


@pytest.mark.long
@pytest.mark.parametrize("token", [None, "f" * 64], ids=["none", "wrong"])
def test_a_cluster_that_asks_for_a_token_is_one_clear_line(
    guarded_cluster: str, token: str | None, tmp_path: Path
) -> None:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else PLAIN
    words = ("submit", "classify", "input=s3://a/b", "output=s3://a/c", "--address", guarded_cluster)
    done = tuningfork(*words, cwd=tmp_path, environment=environment)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "takes jobs only with its token: set RAY_AUTH_MODE=token" in line


@pytest.mark.long
def test_a_module_that_the_cluster_lacks_is_named(guarded_cluster: str) -> None:
    """In a process of its own: Ray reads how it is to authenticate once."""
    program = f"""
import time
from pipeline.streaming.ray_jobs import exit_status, job_client, submit
client = job_client({guarded_cluster!r})
submit(client, entrypoint="python -c 'import no_such_module'", submission_id="lacking")
while not client.get_job_status("lacking").is_terminal():
    time.sleep(0.2)
exit_status(client, "lacking")
"""
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RunError: the cluster's Python has no module 'no_such_module'" in done.stderr
