"""What a real run tells those who watch it: Ray's metrics endpoint, and its log as lines of JSON."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.faults.harness import running
from tests.faults.survey import write_survey
from tests.infra.test_monitoring import OWN
from tests.integration.marked import free_port
from tests.support.command import ROOT

GALAXIES = 16


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One node, whose metrics are gathered every second."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "1000")
    head = {"num_cpus": 2, "include_dashboard": False, "metrics_export_port": free_port()}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        ray.shutdown()  # whatever Ray runs in this process, its key-value store goes with a cluster
        cluster.shutdown()


def samples(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Values at a metrics endpoint, by name and labels; none while nobody answers."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        lines = re.findall(r"^(\w+)\{(.*)\} (\S+)$", reply.read().decode(), re.MULTILINE)
        return {
            (name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))): float(value)
            for name, labels, value in lines
        }
    return {}


def test_metrics_and_log_tell_of_each_unit(cluster: Cluster, tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", GALAXIES)
    words = ["classify", "input=cutouts", "output=out", "unit_rows=4", "transforms=60", "model_threads=1"]
    environment = {
        "RAY_ADDRESS": cluster.address,
        "RAY_AUTH_MODE": "disabled",
        "RAY_metrics_report_interval_ms": "1000",
        "TUNINGFORK_LOG": "json",
    }
    seen: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    head: Any = cluster.head_node
    with running(words, tmp_path, environment) as run:
        while run.process.poll() is None:
            seen |= samples(head.metrics_export_port)
            time.sleep(0.5)
        assert run.wait() == 0, run.text()

    (folder,) = (tmp_path / "out/runs").iterdir()
    own = {(name, labels): value for (name, labels), value in seen.items() if name in OWN}
    assert {name for name, _ in own} == OWN.keys()
    for name, labels in own:
        found = dict(labels)
        assert OWN[name] <= found.keys(), (name, found)
        assert found["run"] == folder.name
    units = {name: value for (name, _), value in own.items() if "units" in name}
    assert sum(units.values()) == GALAXIES / 4
    reasons = {dict(labels)["reason"] for name, labels in own if "quarantined" in name}
    assert "truncated" in reasons, reasons

    entries = [json.loads(path.read_text()) for path in (folder / "ledger").iterdir()]
    events = [json.loads(line) for line in run.text().splitlines() if line.startswith("{")]
    told = [event for event in events if event["event"] == "unit"]
    assert {event["run"] for event in told} == {folder.name}
    assert {(event["unit"], event["attempt"]) for event in told} == {
        (entry["unit"], entry["attempt"]) for entry in entries
    }
    assert all(event["time"] and event["event"] for event in events)
    assert not [line for line in run.text().splitlines() if not line.startswith("{")]
