"""Nodes that a cluster has not got yet: what an autoscaler can add is asked for before a run is laid out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from pipeline.errors import RunError
from pipeline.streaming.ray_internals import autoscaler, is_refused

Device = Literal["auto", "cpu", "gpu"]
"""What a run's networks compute on: GPUs where the cluster has or can get any, never, or nothing else."""

Outcome = Literal["there", "impossible"]


class Demand(NamedTuple):
    """Places for actors: what each needs, and whether each is to be on a node of its own."""

    what: str
    bundle: dict[str, float]
    number: int
    apart: bool


def secure_nodes(
    device: Device, model_actors: int | None, seconds: float, tell: Callable[[str], None]
) -> None:
    """Wait for an autoscaler's nodes where the cluster has none that a run could use, and it can add some.

    Demanded are as many GPUs as model actors, or as many nodes without; one where no number is given. The
    demand ends with its driver, so that nodes go when they are idle, whatever became of the run.

    Parameters
    ----------
    device
        With ``auto``, GPUs that an autoscaler could add are waited for too. Ray's older autoscaler doesn't
        tell whether it could; with that one, ``auto`` takes the GPUs that are there.
    seconds
        Most to wait.
    tell
        Takes a message for the user.

    Raises
    ------
    RunError
        If none came in time.
    """
    actors = model_actors or 1
    has_gpus, has_cpus = ray.cluster_resources().get("GPU", 0) >= 1, _has_workers()
    if device != "cpu" and not has_gpus and (device == "gpu" or autoscaler() == "v2"):
        demand = Demand(
            "a GPU" if actors == 1 else f"{actors} GPUs", {"CPU": 1, "GPU": 1}, actors, apart=False
        )
        outcome = _wait(demand, seconds, tell)
        if outcome == "there" or device == "gpu":
            return
    if has_cpus or (has_gpus and device != "cpu"):
        return
    outcome = "impossible"
    if actors > 1:
        outcome = _wait(Demand(f"{actors} nodes", {"CPU": 1}, actors, apart=True), seconds, tell)
    if outcome == "impossible":
        _wait(Demand("a node", {"CPU": 1}, 1, apart=False), seconds, tell)


def _wait(demand: Demand, seconds: float, tell: Callable[[str], None]) -> Outcome:
    """Demand places from the autoscaler until they are there."""
    if autoscaler() is None:
        return "impossible"
    tell(f"Asking the cluster's autoscaler for {demand.what}, for {seconds:g} s at most …")
    until = time.monotonic() + seconds
    with _demanded(demand) as places:
        while not places.wait(1):
            # Asked anew: a cluster that has just started doesn't tell yet that it only watches its nodes.
            kind = autoscaler()
            if kind is None or (kind == "v2" and is_refused(places)):
                return "impossible"
            if time.monotonic() > until:
                raise RunError(
                    f"{demand.what} didn't come within {seconds:g} s: look at the autoscaler's log and the "
                    "cloud's quotas, then run the same command again; node_wait=SECONDS waits longer"
                )
    return "there"


@contextmanager
def _demanded(demand: Demand) -> Iterator[PlacementGroup]:
    """A placement group, which is gone as soon as its driver is; a request for resources would stay."""
    strategy = "STRICT_SPREAD" if demand.apart else "PACK"
    places = placement_group([demand.bundle] * demand.number, strategy)
    try:
        yield places
    finally:
        remove_placement_group(places)


def _has_workers() -> bool:
    return any(node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes() if node["Alive"])
