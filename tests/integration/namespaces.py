"""Machines on one machine: Ray nodes in network namespaces of their own, wired to a bridge."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.marked import MARK, kill_marked
from tests.support.command import RAY_SETTINGS

GCS, DASHBOARD = 6379, 8265
RAY = Path(sys.executable).parent / "ray"


@dataclass
class Machine:
    """A namespace with an address."""

    name: str
    address: str
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def kill(self) -> None:
        """End all that runs on it, at once."""
        kill_marked(self.mark)

    def unplug(self) -> None:
        """Take it off the network; what runs on it goes on."""
        _ip("link", "set", f"{self.name}v", "down")


@dataclass
class Network:
    """A bridge with this machine at its first address; see `network`."""

    prefix: str
    name: str
    folder: Path
    machines: list[Machine] = field(default_factory=list)

    @property
    def gateway(self) -> str:
        """This machine, as the others see it."""
        return f"{self.prefix}.1"

    def add(self) -> Machine:
        """Another machine."""
        number = len(self.machines) + 2
        machine = Machine(f"{self.name}{number}", f"{self.prefix}.{number}")
        self.machines.append(machine)
        _ip("netns", "add", machine.name)
        _ip("link", "add", f"{machine.name}v", "type", "veth", "peer", "name", "eth0", "netns", machine.name)
        _ip("link", "set", f"{machine.name}v", "master", self.name, "up")
        for words in (
            ["address", "add", f"{machine.address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-netns", machine.name, *words)
        return machine

    def start_ray(self, machine: Machine, head: Machine, cpus: int, environment: Mapping[str, str]) -> None:
        """Start a node of a cluster; its files are in a file system that no other node sees."""
        command = [str(RAY), "start", f"--node-ip-address={machine.address}", f"--num-cpus={cpus}"]
        command += ["--num-gpus=0", f"--object-store-memory={200 << 20}"]
        if machine is head:
            command += [
                "--head",
                f"--port={GCS}",
                "--dashboard-host=0.0.0.0",
                f"--dashboard-port={DASHBOARD}",
            ]
        else:
            command += [f"--address={head.address}:{GCS}"]
        script = f"mount -t tmpfs none {shlex.quote(str(self.folder))} && exec {shlex.join(command)}"
        done = subprocess.run(
            ["ip", "netns", "exec", machine.name, "sh", "-c", script],
            env={
                "RAY_TMPDIR": str(self.folder),
                **RAY_SETTINGS,
                MARK: machine.mark,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def offering(self, port: int) -> Iterator[int]:
        """Let the machines reach a port of this machine's loopback; the port that they are to use."""
        with socket.create_server((self.gateway, 0)) as server:
            threading.Thread(target=_relay, args=(server, port), daemon=True).start()
            yield int(server.getsockname()[1])


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A bridge, whose machines and their processes are gone at the end; skips where that's not allowed."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    number = os.getpid() % 200
    net = Network(f"10.213.{number}", f"tf{number}n", Path(tempfile.mkdtemp(prefix="tf")))
    try:
        try:
            _ip("link", "add", net.name, "type", "bridge")
            _ip("address", "add", f"{net.gateway}/24", "dev", net.name)
            _ip("link", "set", net.name, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no bridge can be made here: {error.stderr.strip()}")
        yield net
    finally:
        for machine in net.machines:
            machine.kill()
            # First: a namespace is gone some time after its name, and would keep the wire's.
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "delete", f"{machine.name}v")
            _ip("netns", "delete", machine.name)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", net.name)
        shutil.rmtree(net.folder, ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _relay(server: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", port))
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
