"""The CronWorkflow is what Argo Workflows takes: by its own Python models, and by the schema of its CRD."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.infra.manifests import KUBERAY, Object, closed, example_config, of_kind, render
from tests.support.command import ROOT

CRD = (
    Path(os.environ.get("TUNINGFORK_ARGO_CRDS", ROOT.parent / "shared" / "argo_crds"))
    / "argoproj.io_cronworkflows.yaml"
)
"""Argo's own file, of its folder manifests/base/crds/full."""

NO_CRD = f"Argo's CRD is not at {CRD}; name its folder in TUNINGFORK_ARGO_CRDS"


@pytest.fixture(params=["source file", "rendered"])
def workflow(request: pytest.FixtureRequest) -> Object:
    if request.param == "rendered":
        (found,) = of_kind(render("refresh-argo"), "CronWorkflow")
        return found
    text = (KUBERAY / "components" / "argo" / "cronworkflow.yaml").read_text()
    made: Object = yaml.safe_load(text)
    return made


def as_argo_has_it(document: Object) -> Any:
    """What is left of a document in Argo's models: a field that they don't know is lost."""
    from hera.workflows import models  # seconds that only these tests need take

    return models.CronWorkflow.model_validate(document).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def test_argo_knows_every_field(workflow: Object) -> None:
    assert as_argo_has_it(workflow) == workflow


@pytest.mark.parametrize(
    "place", [("spec",), ("spec", "workflowSpec"), ("spec", "workflowSpec", "templates", 1)]
)
def test_a_field_that_argo_does_not_know_is_noticed(workflow: Object, place: tuple[str | int, ...]) -> None:
    part: Any = workflow
    for key in place:
        part = part[key]
    part["retryStrategie"] = {}
    assert as_argo_has_it(workflow) != workflow


@pytest.mark.skipif(not CRD.exists(), reason=NO_CRD)
def test_the_schema_of_the_crd_holds(workflow: Object) -> None:
    with CRD.open() as file:
        (version,) = yaml.load(file, yaml.CSafeLoader)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"]["x-kubernetes-preserve-unknown-fields"] = True
    validator = jsonschema.Draft202012Validator(closed(schema))
    validator.validate(workflow)
    workflow["spec"]["workflowSpec"]["templates"][1]["container"]["comand"] = []
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        validator.validate(workflow)


def test_it_refreshes_one_at_a_time_and_recounts() -> None:
    documents = render("refresh-argo")
    (workflow,) = of_kind(documents, "CronWorkflow")
    assert workflow["spec"]["concurrencyPolicy"] == "Forbid"
    spec = workflow["spec"]["workflowSpec"]
    templates = {template["name"]: template for template in spec["templates"]}
    assert templates[spec["entrypoint"]]["dag"]["tasks"] == [
        {"name": "refresh", "template": "refresh"},
        {"name": "verify", "template": "verify", "depends": "refresh"},
    ]
    (mould,) = of_kind(documents, "RayJob")
    assert mould["spec"]["suspend"] is True
    assert templates["refresh"]["container"]["command"][-1] == mould["metadata"]["name"]
    (parameter,) = spec["arguments"]["parameters"]
    assert parameter["value"] == yaml.safe_load(example_config("refresh").read_text())["output"]
    assert templates["verify"]["container"]["command"][1:] == ["verify", "{{workflow.parameters.output}}"]
    scripts = {
        one["metadata"]["name"] for one in of_kind(documents, "ConfigMap") if "run_rayjob.py" in one["data"]
    }
    assert {volume["configMap"]["name"] for volume in templates["refresh"]["volumes"]} == scripts


def test_each_pod_may_say_how_its_step_ended() -> None:
    documents = render("refresh-argo")
    (workflow,) = of_kind(documents, "CronWorkflow")
    may = {
        (role["metadata"]["name"], verb)
        for role in of_kind(documents, "Role")
        for rule in role["rules"]
        if rule["resources"] == ["workflowtaskresults"]
        for verb in rule["verbs"]
    }
    assert may == {("workflow-executor", "create"), ("workflow-executor", "patch")}
    (binding,) = (
        one for one in of_kind(documents, "RoleBinding") if one["roleRef"]["name"] == "workflow-executor"
    )
    bound = {subject["name"] for subject in binding["subjects"]}
    pods = [template for template in workflow["spec"]["workflowSpec"]["templates"] if "container" in template]
    assert {template["serviceAccountName"] for template in pods} == bound
