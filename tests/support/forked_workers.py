"""Workers of the Ray that tests share, forked from one process that has loaded everything already.

Each stage of a stream is a worker, and loading takes most of its time. A worker with a runtime environment of
its own, as of a submitted job, is started as Ray does it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from tests.support import forked_worker
from tests.support.forked_worker import FIRST_JOB, PLACE

LOADED = (
    "ray.data",
    "ray._private.workers.default_worker",
    "pipeline.streaming.decode",
    "pipeline.streaming.model",
    "pipeline.streaming.sink",
    "pipeline.streaming.stream",
)


@functools.cache
def use_forks() -> None:
    """Have each Ray that this process starts for itself fork its workers; not where coverage is measured."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:  # which forks would lose
        return
    from ray._private.node import Node

    start = Node.__init__

    @functools.wraps(start)
    def start_with_forks(self: Node, ray_params: Any, *words: Any, **more: Any) -> None:
        if more.get("ray_init_cluster"):
            _start_forking()
            ray_params.setup_worker_path = forked_worker.__file__
            ray_params.include_log_monitor = False  # no driver here shows what its workers print
        start(self, ray_params, *words, **more)

    Node.__init__ = start_with_forks  # type: ignore[method-assign]


@functools.cache
def _start_forking() -> subprocess.Popen[bytes]:
    """The process to fork from, once it has loaded everything; it ends when this one does."""
    place = Path(tempfile.mkdtemp(prefix="workers-")) / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen(64)
        os.environ[PLACE] = str(place)
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(server.fileno())],
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            | {"RAY_JOB_ID": FIRST_JOB, "RAY_RAYLET_PID": str(os.getpid())},  # Ray's core reads them once
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[server.fileno()],
        )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _serve(server: socket.socket) -> None:
    """Fork on demand, until standard input ends."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    print(flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a fork has ended
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ)
    ready.register(server, selectors.EVENT_READ)
    while sys.stdin not in [key.fileobj for key, _ in ready.select()]:
        asked, _ = server.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ready.close()
            server.close()
            _work(asked)
        asked.close()


def _work(asked: socket.socket) -> NoReturn:
    """Be the worker that is asked for; whoever asks waits until the connection ends with this process."""
    head, streams, *_ = socket.recv_fds(asked, 8, 2)
    size, request = int.from_bytes(head, "big"), b""
    while len(request) < size:
        request += asked.recv(size - len(request))
    words, environment, folder = json.loads(request)
    for stream, number in zip(streams, (1, 2), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    random.seed()
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
