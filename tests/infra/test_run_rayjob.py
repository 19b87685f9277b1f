"""The CronJob's pod: against a server that keeps RayJobs as the Kubernetes API does."""

from __future__ import annotations

import importlib.util
import inspect
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ray.dashboard.modules.job import job_supervisor

from tests.infra.manifests import KUBERAY

PATH = "/apis/ray.io/v1/namespaces/sky/rayjobs"
MOULD: dict[str, Any] = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"name": "refresh", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {"suspend": True, "entrypoint": "tuningfork refresh"},
    "status": {"jobDeploymentStatus": "Suspended"},
}
RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "message": "Job finished successfully."}
NO_CLUSTER = {"jobDeploymentStatus": "Failed", "reason": "PreRunningDeadlineExceeded"}


def failed(status: int) -> dict[str, str]:
    message = f"Job entrypoint command failed with exit code {status}, last available logs (truncated): …"
    return {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": message}


def _load() -> Any:
    spec = importlib.util.spec_from_file_location(
        "run_rayjob", KUBERAY / "overlays" / "refresh" / "run_rayjob.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run_rayjob = _load()


class Server(ThreadingHTTPServer):
    """RayJobs by name; each answers with its next status, and stays at the last."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, dict[str, Any]] = {"refresh": MOULD}
        self.statuses: dict[str, list[dict[str, str]]] = {}
        self.broken = 0
        self.tokens: set[str] = set()

    @property
    def created(self) -> list[str]:
        return [name for name in self.kept if name != "refresh"]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix(f"{PATH}/")
        if self._refused():
            return
        if name not in self.kept:
            self._answer(404, {})
            return
        found = self.kept[name]
        statuses = self.server.statuses.get(name)
        if statuses:
            found = found | {"status": statuses.pop(0) if len(statuses) > 1 else statuses[0]}
        self._answer(200, found)

    def do_POST(self) -> None:
        if self._refused():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = body["metadata"]["name"]
        if self.path != PATH or name in self.kept:
            self._answer(409, {})
            return
        self.kept[name] = body
        self._answer(201, body)

    @property
    def kept(self) -> dict[str, dict[str, Any]]:
        return self.server.kept

    def _refused(self) -> bool:
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.broken:
            self.server.broken -= 1
            self._answer(503, {})
            return True
        return False

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(run_rayjob, "POLL_SECONDS", 0.01)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Any:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "namespace").write_text("sky")
    return run_rayjob.Api(f"http://127.0.0.1:{server.server_port}", tmp_path)


def run(api: Any) -> int:
    owner = run_rayjob.owner_of({"JOB_NAME": "refresh-29", "JOB_UID": "uid-of-job"})
    status: int = run_rayjob.run(api, "refresh", owner)
    return status


def test_a_run_that_is_done_ends_with_0(server: Server, api: Any) -> None:
    server.statuses["refresh-29-1"] = [{}, {"jobDeploymentStatus": "Initializing"}, RUNNING, RUNNING, DONE]
    assert run(api) == 0
    made = server.kept["refresh-29-1"]
    assert server.created == ["refresh-29-1"]
    assert made["spec"] == MOULD["spec"] | {"suspend": False}
    assert made["metadata"] == {
        "name": "refresh-29-1",
        "labels": {"a": "b"},
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "refresh-29", "uid": "uid-of-job"}
        ],
    }
    assert server.tokens == {"Bearer secret"}


def test_a_run_may_belong_to_a_workflow(server: Server, api: Any) -> None:
    environment = {
        "JOB_NAME": "refresh-29",
        "JOB_UID": "uid",
        "JOB_API_VERSION": "argoproj.io/v1alpha1",
        "JOB_KIND": "Workflow",
    }
    server.statuses["refresh-29-1"] = [DONE]
    assert run_rayjob.run(api, "refresh", run_rayjob.owner_of(environment)) == 0
    (owner,) = server.kept["refresh-29-1"]["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": "refresh-29",
        "uid": "uid",
    }


@pytest.mark.parametrize("status", [2, 3])
def test_what_another_start_does_not_better_is_passed_on(server: Server, api: Any, status: int) -> None:
    server.statuses["refresh-29-1"] = [RUNNING, failed(status)]
    assert run(api) == status
    assert server.created == ["refresh-29-1"]


@pytest.mark.parametrize("first", [failed(1), failed(137), NO_CLUSTER])
def test_what_another_start_may_better_gets_one(server: Server, api: Any, first: dict[str, str]) -> None:
    server.statuses |= {"refresh-29-1": [first], "refresh-29-2": [RUNNING, DONE]}
    assert run(api) == 0
    assert server.created == ["refresh-29-1", "refresh-29-2"]


def test_it_gives_up_in_the_end(server: Server, api: Any) -> None:
    server.statuses |= {f"refresh-29-{attempt}": [failed(1)] for attempt in (1, 2, 3, 4)}
    assert run(api) == 1
    assert len(server.created) == run_rayjob.ATTEMPTS == 3


def test_a_pod_that_is_started_anew_finds_what_is_under_way(server: Server, api: Any) -> None:
    server.statuses |= {"refresh-29-1": [failed(1)], "refresh-29-2": [RUNNING, failed(2)]}
    earlier = {name: {"metadata": {"name": name}, "spec": {}} for name in ("refresh-29-1", "refresh-29-2")}
    server.kept |= earlier
    assert run(api) == 2
    assert {name: server.kept[name] for name in earlier} == earlier


def test_an_api_that_is_away_for_a_while_is_waited_for(server: Server, api: Any) -> None:
    server.statuses["refresh-29-1"] = [RUNNING, DONE]
    server.broken = 3
    assert run(api) == 0


def test_a_rayjob_that_someone_deletes_ends_the_wait(
    server: Server, api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOB_NAME", "refresh-29")
    monkeypatch.setenv("JOB_UID", "uid")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "not-used")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(run_rayjob, "Api", lambda _: api)
    monkeypatch.setattr(run_rayjob.sys, "argv", ["run_rayjob.py", "no-such-mould"])
    assert run_rayjob.main() == 1


def test_ray_tells_the_exit_status_as_is_expected_here() -> None:
    assert 'f"failed with exit code {return_code}' in inspect.getsource(job_supervisor)
    assert run_rayjob.exit_status(failed(2)) == 2
    assert run_rayjob.exit_status(RUNNING) is None
    assert run_rayjob.exit_status(MOULD["status"]) is None
