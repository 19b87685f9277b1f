"""A head without work and two workers, each a machine of its own to the network; a real store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline import storage
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.harness import wait_for
from tests.integration.namespaces import DASHBOARD, Machine, Network, network
from tests.integration.test_submit import PLAIN, check_complete, survey_words
from tests.support.command import ROOT, tuningfork

pytestmark = pytest.mark.long


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as found:
        yield found


@pytest.mark.parametrize("loss", [None, Machine.kill, Machine.unplug], ids=["none", "killed", "unplugged"])
def test_a_job_on_machines_of_their_own(
    net: Network, in_store: ObjectStore, bucket: str, tmp_path: Path, loss: object
) -> None:
    words = survey_words(bucket)
    port = urlsplit(in_store.environment["AWS_ENDPOINT_URL"]).port
    assert port is not None
    with net.offering(port) as offered:
        endpoint = {"AWS_ENDPOINT_URL": f"http://{net.gateway}:{offered}"}
        path = {"PATH": f"{ROOT}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)}
        environment = PLAIN | path | in_store.environment | no_other_keys() | endpoint
        head, worker, other = (net.add() for _ in range(3))
        net.start_ray(head, head, 0, environment)
        for machine in (worker, other):
            net.start_ray(machine, head, 2, environment)

        def lose() -> None:
            wait_for(lambda: len(storage.list_files(f"{bucket}/out/runs", ".json")) >= 4, seconds=240)
            if callable(loss):
                loss(other)

        loser = threading.Thread(target=lose)
        loser.start()
        address = ["--address", f"http://{head.address}:{DASHBOARD}"]
        done = tuningfork("submit", "classify", *words, *address, cwd=tmp_path, environment=PLAIN | endpoint)
        loser.join()
        assert done.returncode == 0, done.stdout + done.stderr
    check_complete(bucket, tmp_path, in_store)
