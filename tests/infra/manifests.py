"""The Kubernetes manifests under infra/kuberay, rendered, and what tests ask of them."""

from __future__ import annotations

import copy
import functools
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command import ROOT

KUBERAY = ROOT / "infra" / "kuberay"
CRDS = Path(os.environ.get("TUNINGFORK_KUBERAY_CRDS", ROOT.parent / "shared" / "kuberay_crds"))
"""KubeRay's own files, `ray.io_*.yaml`, of the version that is to run the manifests."""
OVERLAYS = tuple(sorted(path.parent.name for path in KUBERAY.glob("overlays/*/kustomization.yaml")))

NO_RENDERER = (
    "kustomizations can't be rendered here: install kubectl 1.27 or later, or kustomize 5; "
    "only their source files are checked"
)

Object = dict[str, Any]


def renderer() -> list[str] | None:
    """The program that renders kustomizations; None where neither of the two is installed."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


def render(overlay: str) -> list[Object]:
    """What `kubectl apply -k` would send; the test is skipped, in CI failed, where nothing can render it."""
    if renderer() is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)(NO_RENDERER)
    return copy.deepcopy(_rendered(overlay))


@functools.cache
def _rendered(overlay: str) -> list[Object]:
    program = renderer()
    assert program is not None
    folder = KUBERAY / "overlays" / overlay
    done = subprocess.run([*program, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def sources() -> list[Object]:
    """The manifests as they lie there, before kustomize."""
    paths = [path for path in sorted(KUBERAY.rglob("*.yaml")) if path.name != "job.yaml"]
    documents = [document for path in paths for document in yaml.safe_load_all(path.read_text())]
    return [document for document in documents if "kustomize" not in document.get("apiVersion", "kustomize")]


def of_kind(documents: list[Object], *kinds: str) -> list[Object]:
    return [document for document in documents if document["kind"] in kinds]


def ray_clusters(documents: list[Object]) -> Iterator[Object]:
    """The spec of every Ray cluster that these would make."""
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "RayCluster":
            yield spec
        elif document["kind"] in ("RayJob", "RayCronJob") and "rayClusterSpec" in spec.get(
            "jobTemplate", spec
        ):
            yield spec.get("jobTemplate", spec)["rayClusterSpec"]


@dataclass(frozen=True)
class Pod:
    """A pod that these would make; `containers` with the one that KubeRay adds to a head."""

    name: str
    spec: Object
    containers: list[Object]


def pods(documents: list[Object]) -> Iterator[Pod]:
    """The pods of all Ray clusters, submitters and Jobs."""
    for cluster in ray_clusters(documents):
        head = cluster["headGroupSpec"]["template"]["spec"]
        autoscaler = {"name": "autoscaler"} | cluster["autoscalerOptions"]
        yield Pod("head", head, [*all_containers(head), autoscaler])
        for group in cluster["workerGroupSpecs"]:
            spec = group["template"]["spec"]
            yield Pod(group["groupName"], spec, all_containers(spec))
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] in ("RayJob", "RayCronJob") and "submitterPodTemplate" in spec.get(
            "jobTemplate", spec
        ):
            spec = spec.get("jobTemplate", spec)["submitterPodTemplate"]["spec"]
            yield Pod("submitter", spec, all_containers(spec))
        elif document["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]["template"]["spec"]
            yield Pod("CronJob", spec, all_containers(spec))
        elif document["kind"] == "CronWorkflow":
            for template in spec["workflowSpec"]["templates"]:
                if "container" in template:
                    container = {"name": "main"} | template["container"]
                    yield Pod(f"Workflow {template['name']}", spec["workflowSpec"] | template, [container])


def all_containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


@functools.cache
def crd_schema(kind: str) -> Object:
    """The schema of a Ray kind that refuses unknown fields, which Kubernetes would drop silently."""
    with (CRDS / f"ray.io_{kind.lower()}s.yaml").open() as file:
        definition = yaml.load(file, yaml.CSafeLoader)["spec"]  # in C: they have 25,000 lines
    assert definition["names"]["kind"] == kind
    (version,) = [one for one in definition["versions"] if one["name"] == "v1"]
    schema = version["schema"]["openAPIV3Schema"]
    # What Kubernetes knows by itself, and what isn't ours to write.
    del schema["properties"]["status"]
    schema["properties"]["metadata"]["x-kubernetes-preserve-unknown-fields"] = True
    return closed(schema)


def closed(schema: Object) -> Object:
    """A structural schema that refuses what Kubernetes would prune."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = closed(schema[key])
    if schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


def with_defaults(value: Any, schema: Object) -> Any:
    """A value with the schema's defaults in place, as Kubernetes puts them before it validates."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = {
            name: copy.deepcopy(part["default"])
            for name, part in known.items()
            if "default" in part and name not in value
        }
        rest = schema.get("additionalProperties")
        other = rest if isinstance(rest, dict) else {}
        return {name: with_defaults(part, known.get(name, other)) for name, part in (value | missing).items()}
    if isinstance(value, list):
        return [with_defaults(part, schema.get("items", {})) for part in value]
    return value


def quantity(text: str | int) -> float:
    """A Kubernetes quantity as a number, of bytes where it is one of memory."""
    text = str(text)
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("m", 1e-3)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def ray_node(parameters: Object, container: Object) -> tuple[float, int]:
    """CPUs and GPUs that a pod's Ray node offers: as started, else by its limits, as KubeRay has it."""
    limits = container["resources"]["limits"]
    cpus = float(parameters.get("num-cpus", math.ceil(quantity(limits["cpu"]))))
    return cpus, int(parameters.get("num-gpus", limits.get("nvidia.com/gpu", 0)))


def example_config(overlay: str) -> Path:
    return KUBERAY / "overlays" / overlay / "job.yaml"
