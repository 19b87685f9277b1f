"""Plans for clusters of several shapes: what is reserved must leave a way on."""

from __future__ import annotations

import inspect

import pytest
import ray

from pipeline.errors import InputError, RunError
from pipeline.streaming.cluster import connect, plan_resources

SINK_CPUS = 0.25


def cluster_of(monkeypatch: pytest.MonkeyPatch, *nodes: tuple[float, float]) -> None:
    """Let Ray report nodes of so many CPUs and GPUs."""
    totals = {"CPU": sum(cpus for cpus, _ in nodes), "GPU": sum(gpus for _, gpus in nodes)}
    reported = [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in nodes]
    monkeypatch.setattr(ray, "cluster_resources", lambda: totals)
    monkeypatch.setattr(ray, "nodes", lambda: reported)


@pytest.mark.parametrize(
    "nodes",
    [
        [(1, 0)],
        [(2, 0)],
        [(2, 0), (2, 0)],
        [(1, 0), (1, 0)],
        [(0, 0), (16, 0), (8, 0), (64, 0)],
        [(4, 0)] * 50,
        [(1, 1)],
        [(16, 1)],
        [(16, 8), (16, 8)],
        [(4, 0), (32, 4)],
    ],
)
@pytest.mark.parametrize("decoders", [None, 5])
def test_all_actors_and_a_write_fit_on_the_smallest_node(
    monkeypatch: pytest.MonkeyPatch, nodes: list[tuple[float, float]], decoders: int | None
) -> None:
    cluster_of(monkeypatch, *nodes)
    plan = plan_resources(decode_actors=decoders)
    reserved = plan.decode_actors * plan.decode_cpus + plan.model_actors * plan.model_cpus
    assert reserved + SINK_CPUS <= min(cpus for cpus, _ in nodes if cpus) + 1e-9
    assert plan.decode_actors == (decoders or plan.decode_actors)


def test_a_single_node_is_shared_out_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_of(monkeypatch, (16, 0))
    plan = plan_resources()
    assert (plan.decode_actors, plan.decode_cpus, plan.model_actors, plan.model_cpus) == (1, 0.5, 1, 1.0)
    assert plan.model_threads == 16


def test_a_machine_too_busy_for_ray_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because …")

    assert "timed out during startup" in inspect.getsource(ray._private.node)
    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(RunError, match="is very busy or short of memory; run the same command again"):
        connect()


def test_a_cluster_without_cpus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_of(monkeypatch, (0, 0))
    with pytest.raises(InputError, match=r"0 CPUs, .* at least 1 is needed"):
        plan_resources()


def test_nodes_of_less_than_a_cpu_hold_no_actor_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_of(monkeypatch, *[(0.5, 0)] * 4)
    with pytest.raises(InputError, match=r"2 CPUs, .* at least 1 is needed, on one node"):
        plan_resources()


def test_a_gpu_that_is_demanded_is_taken_or_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_of(monkeypatch, (8, 0))
    with pytest.raises(InputError, match=r"has no GPU, .* device=gpu demands one"):
        plan_resources(device="gpu")
    cluster_of(monkeypatch, (8, 2))
    assert plan_resources(device="gpu").model_gpus == 1
    assert plan_resources(device="cpu").model_gpus == 0
    with pytest.raises(InputError, match=r"model_actors=3 asks for a GPU each, .* has 2"):
        plan_resources(model_actors=3)
