"""The manifests are what Kubernetes and KubeRay take, and closed as they should be."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.infra.manifests import (
    CRDS,
    KUBERAY,
    NO_RENDERER,
    OVERLAYS,
    Object,
    crd_schema,
    example_config,
    of_kind,
    pods,
    ray_clusters,
    render,
    renderer,
    sources,
    with_defaults,
)
from tests.support.command import tuningfork_here

RAY_KINDS = ("RayCluster", "RayJob", "RayCronJob")
KUBERNETES = "1.32"
NO_CRDS = f"KubeRay's CRDs are not at {CRDS}; name their folder in TUNINGFORK_KUBERAY_CRDS"


@pytest.fixture(scope="module", params=[*OVERLAYS, "source files"])
def documents(request: pytest.FixtureRequest) -> list[Object]:
    """The manifests of an overlay, or all source files as they are."""
    if request.param == "source files":
        return sources()
    return render(request.param)


@pytest.mark.skipif(not CRDS.exists(), reason=NO_CRDS)
def test_ray_kinds_are_valid(documents: list[Object]) -> None:
    for document in of_kind(documents, *RAY_KINDS):
        if document["kind"] == "RayCronJob" and "jobTemplate" not in document["spec"]:
            continue  # a source file, which kustomize fills
        schema = crd_schema(document["kind"])
        jsonschema.Draft202012Validator(schema).validate(with_defaults(document, schema))


@pytest.mark.skipif(not CRDS.exists(), reason=NO_CRDS)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "hedGroupSpec"), {}),
        (("spec", "headGroupSpec", "template", "spec", "runAsNonroot"), True),
        (("spec", "headGroupSpec", "template", "metadata", "label"), {}),
        (("spec", "autoscalerOptions", "version"), "v3"),
        (("spec", "workerGroupSpecs", 0, "replicas"), "two"),
    ],
)
def test_a_mistake_in_a_ray_kind_is_noticed(path: tuple[str | int, ...], value: object) -> None:
    (cluster,) = of_kind(sources(), "RayCluster")
    node: Any = cluster
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    schema = crd_schema("RayCluster")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(with_defaults(cluster, schema))


def test_kubernetes_own_kinds_are_valid(documents: list[Object]) -> None:
    own = [document for document in documents if document["kind"] not in (*RAY_KINDS, "CronWorkflow")]
    assert own
    for document in own:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_an_overlay_makes_what_its_name_says() -> None:
    kinds = {
        overlay: sorted({one["kind"] for one in render(overlay)} & {*RAY_KINDS, "CronJob", "CronWorkflow"})
        for overlay in OVERLAYS
    }
    assert kinds == {
        "cluster": ["RayCluster"],
        "classify": ["RayJob"],
        "train": ["RayJob"],
        "refresh": ["CronJob", "RayJob"],
        "refresh-argo": ["CronWorkflow", "RayJob"],
        "refresh-raycronjob": ["RayCronJob"],
    }


def test_all_is_in_one_namespace() -> None:
    for overlay in OVERLAYS:
        documents = render(overlay)
        (namespace,) = of_kind(documents, "Namespace")
        rest = [one["metadata"].get("namespace") for one in documents if one is not namespace]
        assert set(rest) == {namespace["metadata"]["name"]}
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_job_runs_on_the_cluster_of_the_base() -> None:
    (standing,) = ray_clusters(render("cluster"))
    for overlay in OVERLAYS:
        (cluster,) = ray_clusters(render(overlay))
        assert (
            cluster["headGroupSpec"]["template"]["spec"]["securityContext"]
            == (standing["headGroupSpec"]["template"]["spec"]["securityContext"])
        )
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["autoscalerOptions"]["version"] == "v2"
        assert cluster["enableInTreeAutoscaling"] is True
        assert [group["groupName"] for group in cluster["workerGroupSpecs"]] == ["cpu", "gpu"]


def test_the_verb_finds_its_config() -> None:
    for overlay, verb in (
        ("classify", "classify"),
        ("train", "train"),
        ("refresh", "refresh"),
        ("refresh-argo", "refresh"),
        ("refresh-raycronjob", "refresh"),
    ):
        documents = render(overlay)
        (job,) = of_kind(documents, "RayJob", "RayCronJob")
        spec = job["spec"].get("jobTemplate", job["spec"])
        assert spec["entrypoint"] == f"tuningfork {verb} --config /etc/tuningfork/job.yaml"
        head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
        (volume,) = [one for one in head["volumes"] if one["name"] == "job"]
        named = {one["metadata"]["name"]: one["data"] for one in of_kind(documents, "ConfigMap")}
        assert set(named[volume["configMap"]["name"]]) == {"job.yaml"}
        mounts = {mount["name"]: mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
        assert mounts["job"] == "/etc/tuningfork"


@pytest.mark.parametrize("verb", ["classify", "train", "refresh"])
def test_the_verb_takes_its_config(verb: str, tmp_path: Path) -> None:
    done = tuningfork_here(verb, "--config", str(example_config(verb)), "--print-config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load(done.stdout)
    # What the driver would derive from its own machine, the head, isn't left to it.
    assert values.get("precision") != "auto"
    assert values.get("workers") != 1


def test_one_refresh_at_a_time() -> None:
    documents = render("refresh")
    (cron,) = of_kind(documents, "CronJob")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    job = cron["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (mould,) = of_kind(documents, "RayJob")
    assert mould["spec"]["suspend"] is True
    assert mould["spec"]["shutdownAfterJobFinishes"] is True  # else KubeRay refuses to suspend it
    assert pod["containers"][0]["command"][-1] == mould["metadata"]["name"]
    (role,) = of_kind(documents, "Role")
    (binding,) = of_kind(documents, "RoleBinding")
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}]
    assert binding["subjects"][0]["name"] == pod["serviceAccountName"]


def test_no_pod_may_do_more_than_it_needs(documents: list[Object]) -> None:
    found = list(pods(documents))
    assert found
    for pod in found:
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["runAsUser"] == 1000, pod.name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            assert not pod.spec.get(key), pod.name
        assert not [volume for volume in pod.spec.get("volumes", ()) if "hostPath" in volume]
        for container in pod.containers:
            own, where = container["securityContext"], (pod.name, container["name"])
            assert own["allowPrivilegeEscalation"] is False, where
            assert own["readOnlyRootFilesystem"] is True, where
            assert own["runAsNonRoot"] is True, where
            assert own["capabilities"] == {"drop": ["ALL"]}, where
            assert "privileged" not in own, where
            assert container["resources"]["limits"]["memory"], where


def test_where_ray_writes_is_an_empty_dir(documents: list[Object]) -> None:
    for pod in pods(documents):
        if pod.name in ("CronJob", "Workflow refresh"):  # a script that writes nothing
            continue
        writable = {volume["name"] for volume in pod.spec["volumes"] if "emptyDir" in volume}
        for container in pod.containers:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert mounts["/tmp"] in writable, (pod.name, container["name"])


def test_only_the_autoscaler_and_the_scheduler_reach_the_kubernetes_api(documents: list[Object]) -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    for pod in pods(documents):
        assert pod.spec["automountServiceAccountToken"] is pod.name.startswith(("CronJob", "Workflow")), (
            pod.name
        )
        for container in pod.containers:
            mounted = path in {mount["mountPath"] for mount in container.get("volumeMounts", ())}
            assert mounted is (container["name"] == "autoscaler"), (pod.name, container["name"])


def test_secrets_are_named_and_never_written(documents: list[Object]) -> None:
    assert not of_kind(documents, "Secret")
    for pod in pods(documents):
        for container in pod.containers:
            for variable in container.get("env", ()):
                secret = any(word in variable["name"] for word in ("KEY", "SECRET", "TOKEN", "PASSWORD"))
                assert not (secret and "value" in variable), variable["name"]
    for config in of_kind(documents, "ConfigMap"):
        assert not [text for text in config["data"].values() if "AWS_SECRET_ACCESS_KEY" in text]


def policies_of(documents: list[Object], direction: str) -> list[Object]:
    policies = of_kind(documents, "NetworkPolicy")
    return [policy for policy in policies if policy["spec"]["policyTypes"] == [direction]]


def test_nothing_goes_out_but_what_must(documents: list[Object]) -> None:
    policies = policies_of(documents, "Egress")
    closed = [one["spec"]["podSelector"] for one in policies if "egress" not in one["spec"]]
    assert closed == [{}]
    opened = {}
    for policy in policies:
        for rule in policy["spec"].get("egress", ()):
            assert rule["to"]
            opened[policy["metadata"]["name"]] = [port["port"] for port in rule.get("ports", ())]
    assert opened == {
        "to-dns": [53, 53],
        "to-ray-nodes": [],  # all ports
        "submitter-to-dashboard": [8265],
        "to-store": [443],
        "autoscaler-to-kubernetes-api": [443, 6443],
        "scheduler-to-kubernetes-api": [443, 6443],
    }


@pytest.mark.parametrize("service", ["169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200"])
def test_no_pod_reaches_a_metadata_service(documents: list[Object], service: str) -> None:
    for policy in policies_of(documents, "Egress"):
        for rule in policy["spec"].get("egress", ()):
            blocks = [target["ipBlock"] for target in rule["to"] if "ipBlock" in target]
            for block in blocks:
                inside = ip_address(service) in ip_network(block["cidr"])
                excepted = any(ip_address(service) in ip_network(one) for one in block.get("except", ()))
                assert not inside or excepted, policy["metadata"]["name"]


def test_every_policy_is_of_one_direction(documents: list[Object]) -> None:
    each = [policy["spec"]["policyTypes"] for policy in of_kind(documents, "NetworkPolicy")]
    assert {tuple(directions) for directions in each} == {("Ingress",), ("Egress",)}


def test_nothing_comes_in_but_what_must(documents: list[Object]) -> None:
    policies = policies_of(documents, "Ingress")
    everywhere = [one for one in policies if one["spec"]["podSelector"] == {}]
    assert [one["spec"].get("ingress", []) for one in everywhere] == [[]]
    opened = {}
    for policy in policies:
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"]
            opened[policy["metadata"]["name"]] = [port["port"] for port in rule.get("ports", ())]
    assert opened == {
        "between-ray-nodes": [],  # all ports
        "jobs-to-dashboard": [8265],
        "prometheus-to-metrics": [8080, 44217, 44227],
    }
    for job in of_kind(documents, "RayJob"):
        labels = job["spec"]["submitterPodTemplate"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "submitter"


def test_the_image_is_pinned() -> None:
    for overlay in OVERLAYS:
        images = {
            container["image"]
            for pod in pods(render(overlay))
            for container in pod.containers
            if container["name"] != "autoscaler"  # the head's
        }
        assert len(images) == 1
        assert images.pop().rpartition(":")[2] not in ("", "latest")


def test_a_kustomization_that_is_broken_is_noticed() -> None:
    program = renderer()
    if program is None:
        pytest.skip(NO_RENDERER)
    done = subprocess.run([*program, KUBERAY / "components"], capture_output=True, check=False)
    assert done.returncode != 0
