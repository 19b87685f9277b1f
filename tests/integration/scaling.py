"""A cluster whose head has no CPUs, with an autoscaler; the nodes that it adds run on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.autoscaler.v2.sdk import get_cluster_status

from tests.integration.marked import MARK, command_line, free_port, kill_marked, marked
from tests.support.command import RAY_SETTINGS

HEAD = "f" * 51 + "00000"
_EMPTY_LISTS = (
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "initialization_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
    "cluster_synced_files",
    "rsync_exclude",
    "rsync_filter",
)


@dataclass
class ScalingCluster:
    """A running one."""

    address: str
    mark: str

    @contextlib.contextmanager
    def before_first_look(self) -> Iterator[None]:
        """As in a cluster's first seconds: what watches the nodes has seen none yet."""
        monitor = [pid for pid in marked(self.mark) if "_private/monitor.py" in command_line(pid)]
        for pid in monitor:
            os.kill(pid, signal.SIGSTOP)
        report = json.dumps({"autoscaler_report": {"active_nodes": {}}}).encode()
        GcsClient(address=self.address).internal_kv_put(b"__autoscaling_status", report, True)
        try:
            yield
        finally:
            for pid in monitor:
                os.kill(pid, signal.SIGCONT)

    @property
    def workers(self) -> int:
        """Nodes beside the head."""
        status = get_cluster_status(self.address)
        return len(status.active_nodes) + len(status.idle_nodes) - 1


def _configuration(
    address: str, nodes: dict[str, dict[str, float]], idle_seconds: float
) -> dict[str, object]:
    """Of the autoscaler. Ray's ``fake_multinode`` lacks a file in its wheel: so it's external here."""
    kinds = {
        name: {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": 2}
        for name, resources in nodes.items()
    }
    return {
        "cluster_name": "test",
        "max_workers": 4,
        "idle_timeout_minutes": idle_seconds / 60,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": HEAD,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            **kinds,
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in _EMPTY_LISTS},
    }


@contextlib.contextmanager
def scaling_cluster(
    nodes: dict[str, dict[str, float]], idle_seconds: float = 6, environment: dict[str, str] | None = None
) -> Iterator[ScalingCluster]:
    """Start a head; with kinds of nodes that an autoscaler may add (none: there is no autoscaler)."""
    folder, mark = Path(tempfile.mkdtemp(prefix="tf")), uuid.uuid4().hex
    port = free_port()
    address = f"{ray.util.get_node_ip_address()}:{port}"
    variables = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {
        "RAY_AUTH_MODE": "disabled",
        **RAY_SETTINGS,
        "RAY_TMPDIR": str(folder),
        MARK: mark,
        **(environment or {}),
    }
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--num-cpus=0", "--num-gpus=0"]
    command += [f"--port={port}", "--include-dashboard=false"]
    command += [f"--ray-client-server-port={free_port()}", "--dashboard-agent-listen-port=0"]
    command += [f"--object-store-memory={200 << 20}"]
    if nodes:
        file = folder / "autoscaling.yaml"
        file.write_text(json.dumps(_configuration(address, nodes, idle_seconds)))
        command += [f"--autoscaling-config={file}"]
        variables |= {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
    try:
        subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=120)
        yield ScalingCluster(address, mark)
    finally:
        kill_marked(mark)
        shutil.rmtree(folder, ignore_errors=True)
