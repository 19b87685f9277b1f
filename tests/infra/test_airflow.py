"""The DAG is what Airflow takes, and a task ends as its verb does: by Airflow itself, where it is there."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.manifests import example_config
from tests.support.command import ROOT

FOLDER = ROOT / "infra" / "airflow"
DAG = FOLDER / "tuningfork_refresh.py"
PYTHON = os.environ.get("TUNINGFORK_AIRFLOW_PYTHON", sys.executable)
"""Of an environment that has apache-airflow-core and its standard provider: they don't go with the lock."""

NO_AIRFLOW = f"{PYTHON} has no Airflow 3; name one that has in TUNINGFORK_AIRFLOW_PYTHON"

FACTS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

folder, params, statuses = sys.argv[1], *map(json.loads, sys.argv[2:])
bag = DagBag(folder)
dag = bag.dags["tuningfork_refresh"]
DagSerialization.to_dict(dag)

def ended(task, words):
    task.words = words
    try:
        task.execute({})
    except AirflowFailException:
        return "failed at once"
    except AirflowException:
        return "may be tried again"
    return "done"

found = {
    "errors": bag.import_errors,
    "order": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "at once": dag.max_active_runs,
    "catchup": dag.catchup,
    "defaults": {name: dag.params[name] for name in dag.params},
    "ended": {
        f"{task.task_id} {status}": ended(task, [str(status)]) for task in dag.tasks for status in statuses
    },
}
bag = DagBag(folder)
for task in bag.dags["tuningfork_refresh"].tasks:
    task.render_template_fields({"params": params})
    found[task.task_id] = [word for word in task.words if word]
print("FACTS", json.dumps(found))
"""


def has_airflow() -> bool:
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('airflow') is None)"
    return subprocess.run([PYTHON, "-c", code], check=False).returncode == 0


def facts(folder: Path, params: dict[str, str | None]) -> dict[str, Any]:
    """What Airflow makes of the DAG; the program ends with the status that is its only word."""
    program = folder / "ends with"
    program.write_text("#!/bin/sh\nexit $1\n")
    program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(folder), "TUNINGFORK_PROGRAM": str(program)}
    done = subprocess.run(
        [PYTHON, "-c", FACTS, str(FOLDER), json.dumps(params), json.dumps([0, 1, 2, 3])],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("FACTS "))
    found: dict[str, Any] = json.loads(line.removeprefix("FACTS "))
    return found


def test_airflow_takes_the_dag_and_its_tasks_end_as_their_verbs(tmp_path: Path) -> None:
    if not has_airflow():
        pytest.skip(NO_AIRFLOW)
    params = {"config": "/my settings/job.yaml", "output": "s3://a/b", "address": None}
    found = facts(tmp_path, params)
    assert found["errors"] == {}
    assert found["order"] == {"refresh": ["verify"], "verify": []}
    assert found["at once"] == 1
    assert found["catchup"] is False
    assert found["defaults"]["output"] == yaml.safe_load(example_config("refresh").read_text())["output"]
    assert found["refresh"] == ["refresh", "--config=/my settings/job.yaml"]
    assert found["verify"] == ["verify", "s3://a/b"]
    ended = {"failed at once", "may be tried again", "done"}
    assert {end: {key for key, value in found["ended"].items() if value == end} for end in ended} == {
        "done": {"refresh 0", "verify 0"},
        "may be tried again": {"refresh 1", "verify 2", "verify 3"},
        "failed at once": {"refresh 2", "refresh 3", "verify 1"},
    }
    submitted = facts(tmp_path, params | {"address": "http://head:8265"})["refresh"]
    assert submitted == ["submit", "refresh", "--config=/my settings/job.yaml", "--address=http://head:8265"]


def test_the_dag_is_python_that_needs_airflow_alone() -> None:
    tree = ast.parse(DAG.read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {module.split(".")[0] for module in modules} - sys.stdlib_module_names == {"airflow"}
    tasks = {
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Verb"
        for keyword in node.keywords
        if keyword.arg == "task_id" and isinstance(keyword.value, ast.Constant)
    }
    assert tasks == {"refresh", "verify"}
