"""Connecting to Ray, and how many actors of each kind a cluster gets."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import ray
from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

from pipeline.errors import InputError, RunError
from pipeline.faults import DRIVER_PID
from pipeline.logs import take_over
from pipeline.streaming.scaling import Device

_UNBOUNDED = 1 << 50
_IN_FLIGHT = {"cpu": 704 << 20, "gpu": 4 << 30}
"""Bytes that may wait for each model actor: seconds of its work."""
_SINKS_A_GPU = 4
"""A sink waits for the store most of the time."""

_TOO_SLOW = "timed out during startup"
"""What Ray says where its processes aren't up after half a minute."""

_LEAST_OPEN_FILES = 256
"""Files that a process must be able to hold open for a run on a few cores to go well."""

_NO_PROGRESS_SECONDS = 1800
"""Seconds without progress after which a run is stopped; a work unit full of rows that time out takes less
(see `isolation`)."""


@dataclass(frozen=True)
class StreamResources:
    """Actors of each kind and what each reserves.

    Attributes
    ----------
    decode_actors, decode_cpus
        Number, and CPUs reserved by each.
    model_actors, model_cpus, model_gpus
        Number, and CPUs and GPUs reserved by each.
    model_threads
        Threads that torch uses in each model actor.
    in_flight_bytes
        Most bytes of decoded galaxies that wait anywhere in the cluster: decoding pauses above, so that
        memory depends on this and not on the survey's size.
    sink_actors, sink_cpus
        Number, and CPUs reserved by each.
    """

    decode_actors: int
    decode_cpus: float
    model_actors: int
    model_cpus: float
    model_gpus: float
    model_threads: int
    in_flight_bytes: int
    sink_actors: int = 1
    sink_cpus: float = 0.125


def connect() -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, or start Ray on this machine; quiet either way.

    Raises
    ------
    InputError
        If the named cluster can't be reached.
    RunError
        If too few files may be open at a time, or Ray doesn't start in time.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ[DRIVER_PID] = str(os.getpid())
    # Else Ray's core prints an error about every actor that may be restarted (ray-project/ray#53727).
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = os.environ.get("RAY_ADDRESS")
    _check_open_files()
    try:
        with _own_sigterm(), _stderr_held_back():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                ignore_reinit_error=True,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except (ConnectionError, ValueError) as error:
        raise InputError(f"cannot reach the Ray cluster at RAY_ADDRESS={address}: {error}") from error
    except Exception as error:
        if _TOO_SLOW not in str(error):  # it has no class of its own
            raise
        raise RunError(
            "Ray didn't start within half a minute: this machine is very busy or short of memory; run "
            "the same command again"
        ) from error
    take_over("ray")
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A unit is one block from end to end: blocks are never split by size.
    context.target_max_block_size = _UNBOUNDED
    context.raise_original_map_exception = True
    context.execution_no_progress_timeout_s = _NO_PROGRESS_SECONDS
    # What ends a run is raised and told in one line; Ray Data would print its traceback as well.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # The one way there is to bound restarts (Ray 2.60).
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", RayDeprecationWarning)


def _check_open_files() -> None:
    """Make sure that Ray's processes can open what they need; they would die without a word that helps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_OPEN_FILES:
        raise RunError(
            f"no more than {hard} files may be open at a time here, and Ray needs {_LEAST_OPEN_FILES}; raise "
            "the limit (ulimit -n), then run the same command again"
        )
    if soft != resource.RLIM_INFINITY and soft < _LEAST_OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LEAST_OPEN_FILES, hard))


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the process's own handler of SIGTERM; Ray's core would print the stack, and abort at times."""
    own = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # by a handler that Ray sets as it starts, or our own, which then ignores signals
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, own)
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, own)


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keep what Ray's core prints as it starts; let it through only if the start fails."""
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(own, 2)
            os.close(own)
            if failed:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))


def gpus_up() -> int:
    """How many GPUs the nodes of the cluster have that are up now."""
    return int(ray.cluster_resources().get("GPU", 0))


def plan_resources(
    decode_actors: int | None = None,
    model_actors: int | None = None,
    model_threads: int | None = None,
    device: Device = "auto",
) -> StreamResources:
    """Derive the number of actors from the cluster; every number given is kept.

    With GPUs there is a model actor a GPU, and the CPUs decode. Without, there is a model actor a node, its
    torch using every core, and the little that decoding needs is taken beside it.

    The CPUs that actors reserve, all together, fit on the smallest node: a run that loses nodes can then
    place every actor again on whichever is left. That includes decode actors that had finished, for what they
    decoded is made again if it went with a node. Reservations only place actors, they don't slow them. GPUs
    aren't shared: the actors of a lost one wait for a node in its place, and if none comes the run stops for
    want of progress, to be continued by the same command.

    Parameters
    ----------
    device
        What the models compute on (see `secure_nodes`).

    Raises
    ------
    InputError
        If the cluster can't hold one actor of each kind, or has no GPU and `device` demands it.
    """
    cpus = float(ray.cluster_resources().get("CPU", 0))
    gpus = 0 if device == "cpu" else gpus_up()
    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    workers = [int(count) for count in nodes if count >= 1]
    if device == "gpu" and not gpus:
        raise InputError(
            "the Ray cluster has no GPU, and no autoscaler that could add one; device=gpu demands one: say "
            "device=auto to do without"
        )
    if not workers:
        raise InputError(
            f"the Ray cluster has {cpus:g} CPUs, and no autoscaler that could add any; at least 1 is needed, "
            "on one node, for one actor of each kind"
        )
    if gpus and (model_actors or 0) > gpus:
        raise InputError(
            f"model_actors={model_actors} asks for a GPU each, and the Ray cluster has {gpus}; give fewer, "
            "or none to use them all"
        )
    models = model_actors or gpus or len(workers)
    room = min(workers) if len(workers) > 1 else cpus
    if gpus:
        decoders = decode_actors or max(1, int(cpus) - models - 1)
        return StreamResources(
            decode_actors=decoders,
            decode_cpus=min(1.0, room / 2 / decoders),
            model_actors=models,
            model_cpus=min(0.5, room / 4 / models),
            model_gpus=1.0,
            model_threads=model_threads or 1,
            in_flight_bytes=models * _IN_FLIGHT["gpu"],
            sink_actors=(sinks := _SINKS_A_GPU * models),
            sink_cpus=min(0.25, room / 8 / sinks),
        )
    decoders = decode_actors or max(1, int(cpus) // 16)
    return StreamResources(
        decode_actors=decoders,
        decode_cpus=min(0.5, room / 4 / decoders),
        model_actors=models,
        model_cpus=min(1.0, room / 2 / models),
        model_gpus=0.0,
        model_threads=model_threads or max(1, round(cpus / models)),
        in_flight_bytes=models * _IN_FLIGHT["cpu"],
        sink_actors=models,
        sink_cpus=min(0.25, room / 8 / models),
    )
