"""What the manifests request is what the actors reserve and use (see infra/kuberay/README.md)."""

from __future__ import annotations

import math

import pytest
import ray
import yaml

from pipeline.streaming.cluster import StreamResources, plan_resources
from pipeline.streaming.limits import DecodeLimits
from tests.infra.manifests import OVERLAYS, Object, example_config, quantity, ray_clusters, ray_node, render

GIB = 2.0**30
RAY, DECODER, SINK = 2.0, 0.75, 0.15
"""GiB that Ray's own processes of a node use, and an actor at most: measured."""
MODEL_ON_GPU = 4.0
"""GiB of the machine, with CUDA's libraries: an estimate."""
KILLED_ABOVE = 0.95
"""Share of its memory above which Ray kills a node's processes (`RAY_memory_usage_threshold`)."""


def model_on_cpu(threads: int) -> float:
    """GiB of a model actor: 0.45 measured with two threads, each of which has galaxies of its own."""
    return 0.3 + 0.2 * threads


@pytest.fixture(params=OVERLAYS)
def cluster(request: pytest.FixtureRequest) -> Object:
    (spec,) = ray_clusters(render(request.param))
    return spec


def groups(cluster: Object, size: str = "replicas") -> list[tuple[Object, int]]:
    return [(group, group[size]) for group in cluster["workerGroupSpecs"] if group[size]]


def container(group: Object) -> Object:
    found: Object = group["template"]["spec"]["containers"][0]
    return found


def planned(cluster: Object, monkeypatch: pytest.MonkeyPatch, size: str = "replicas") -> StreamResources:
    """The actors that a run plans on this cluster."""
    head = cluster["headGroupSpec"]
    nodes = [ray_node(head["rayStartParams"], container(head))]
    for group, count in groups(cluster, size):
        nodes += [ray_node(group["rayStartParams"], container(group))] * count
    totals = {"CPU": sum(cpus for cpus, _ in nodes), "GPU": sum(gpus for _, gpus in nodes)}
    reported = [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in nodes]
    monkeypatch.setattr(ray, "cluster_resources", lambda: totals)
    monkeypatch.setattr(ray, "nodes", lambda: reported)
    return plan_resources()


def test_the_head_takes_no_actor(cluster: Object) -> None:
    head = cluster["headGroupSpec"]
    assert ray_node(head["rayStartParams"], container(head)) == (0, 0)


def test_a_node_offers_what_it_has(cluster: Object) -> None:
    for group in cluster["workerGroupSpecs"]:
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"], group["groupName"]
        assert quantity(resources["requests"]["cpu"]).is_integer(), "Ray rounds CPUs up"
        assert "num-cpus" not in group["rayStartParams"]


def test_the_actors_fit_on_the_nodes(cluster: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(cluster, monkeypatch)
    fleet = groups(cluster)
    gpus = sum(ray_node({}, container(group))[1] * count for group, count in fleet)
    assert plan.model_actors == (gpus or sum(count for _, count in fleet))
    reserved = (
        plan.decode_actors * plan.decode_cpus
        + plan.model_actors * plan.model_cpus
        + plan.sink_actors * plan.sink_cpus
    )
    assert reserved <= min(ray_node({}, container(group))[0] for group, _ in fleet)


def test_what_is_in_flight_fits_in_the_object_stores(
    cluster: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(cluster, monkeypatch)
    stores = sum(int(group["rayStartParams"]["object-store-memory"]) * n for group, n in groups(cluster))
    assert plan.in_flight_bytes * 2 <= stores <= plan.in_flight_bytes * 3


def test_memory_holds_the_actors_and_one_hostile_image(
    cluster: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(cluster, monkeypatch)
    nodes = sum(count for _, count in groups(cluster))
    for group, _ in groups(cluster):
        per_node = (
            math.ceil(plan.decode_actors / nodes) * DECODER + math.ceil(plan.sink_actors / nodes) * SINK
        )
        model = MODEL_ON_GPU if plan.model_gpus else model_on_cpu(plan.model_threads)
        store = int(group["rayStartParams"]["object-store-memory"]) / GIB
        needed = store + RAY + per_node + model + DecodeLimits().memory_bytes / GIB
        given = quantity(container(group)["resources"]["requests"]["memory"]) / GIB
        assert needed / KILLED_ABOVE <= given <= 1.5 * needed, (group["groupName"], needed)


def test_a_job_starts_whole_and_a_standing_cluster_never_shrinks_below_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (standing,) = ray_clusters(render("cluster"))
    # A run counts the nodes that are there when it starts; InputError if there is none.
    assert planned(standing, monkeypatch, "minReplicas").model_actors >= 1
    for overlay in OVERLAYS:
        (spec,) = ray_clusters(render(overlay))
        for group in spec["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_training_has_a_gpu_for_each_worker() -> None:
    (spec,) = ray_clusters(render("train"))
    gpus = sum(ray_node({}, container(group))[1] * count for group, count in groups(spec))
    assert yaml.safe_load(example_config("train").read_text())["workers"] == gpus
