"""Run a copy of a suspended RayJob, wait for its end, and end with its exit status.

``python run_rayjob.py MOULD``, in a pod of a Kubernetes Job named by JOB_NAME and JOB_UID, or of another kind
of owner, JOB_KIND of JOB_API_VERSION. Copies are named after that Job and belong to it: a pod that is started
anew finds the copy that is under way, and deleting the Job stops the run. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ATTEMPTS = 3
"""How often a run is started in all, if it keeps ending with a status that another start may better."""

FINAL = (0, 2, 3)
"""Done; bad input; someone else holds the output."""

POLL_SECONDS = 15.0
_ENDED = ("Complete", "Failed")
_EXIT_STATUS = re.compile(r"failed with exit code (\d+)")
"""In what Ray says of a job; the RayJob's status holds the number nowhere else."""


class Api:
    """The RayJobs of a namespace; trouble that passes is waited out.

    Parameters
    ----------
    server
        URL of the Kubernetes API.
    account
        Folder of ``token``, ``namespace`` and, for https, ``ca.crt``.
    """

    def __init__(self, server: str, account: Path = ACCOUNT) -> None:
        namespace = (account / "namespace").read_text(encoding="utf-8")
        self._url = f"{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
        self._token = account / "token"
        https = server.startswith("https:")
        self._context = ssl.create_default_context(cafile=str(account / "ca.crt")) if https else None

    def get(self, name: str) -> dict[str, Any]:
        """A RayJob as it is now."""
        return self._call("GET", f"{self._url}/{name}")

    def create(self, rayjob: dict[str, Any]) -> None:
        """Create a RayJob; one of this name that is there already is left as it is."""
        try:
            self._call("POST", self._url, json.dumps(rayjob).encode())
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise

    def _call(self, method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
        while True:
            request = urllib.request.Request(url, body, method=method)  # noqa: S310
            # Kubernetes puts a new token there now and then.
            request.add_header("Authorization", f"Bearer {self._token.read_text(encoding='utf-8')}")
            request.add_header("Content-Type", "application/json")
            try:
                with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:  # noqa: S310
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    raise
                _say(f"the Kubernetes API answered {error.code}; trying again")
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                _say(f"the Kubernetes API is out of reach ({error}); trying again")
            time.sleep(POLL_SECONDS)


def owner_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Whose the copies are: a Kubernetes Job, if nothing else is said."""
    return {
        "apiVersion": environment.get("JOB_API_VERSION", "batch/v1"),
        "kind": environment.get("JOB_KIND", "Job"),
        "name": environment["JOB_NAME"],
        "uid": environment["JOB_UID"],
    }


def copy_of(mould: dict[str, Any], name: str, owner: dict[str, str]) -> dict[str, Any]:
    """A RayJob that runs what the mould describes, and goes when its owner does."""
    return {
        "apiVersion": mould["apiVersion"],
        "kind": mould["kind"],
        "metadata": {
            "name": name,
            "labels": mould["metadata"].get("labels", {}),
            "ownerReferences": [owner],
        },
        "spec": mould["spec"] | {"suspend": False},
    }


def exit_status(status: dict[str, Any]) -> int | None:
    """How a RayJob ended: 0, or its command's exit status, 1 if it had none; None while it hasn't ended."""
    if status.get("jobDeploymentStatus") not in _ENDED:
        return None
    if status.get("jobStatus") == "SUCCEEDED":
        return 0
    told = _EXIT_STATUS.search(status.get("message", ""))
    return int(told[1]) or 1 if told else 1


def wait(api: Api, name: str) -> int:
    """Follow a RayJob to its end; its exit status."""
    last = None
    while True:
        status = api.get(name).get("status", {})
        now = f"{status.get('jobDeploymentStatus', 'New')} {status.get('jobStatus', '')}".strip()
        if now != last:
            _say(f"RayJob {name}: {now}")
            last = now
        ended = exit_status(status)
        if ended is not None:
            _say(f"RayJob {name} ended with {ended}. {status.get('message', '')}".strip())
            return ended
        time.sleep(POLL_SECONDS)


def run(api: Api, mould: str, owner: dict[str, str]) -> int:
    """Run copies of a mould, at most `ATTEMPTS`, until one ends with a final status; the last one's."""
    status = 1
    for attempt in range(1, ATTEMPTS + 1):
        name = f"{owner['name']}-{attempt}"
        api.create(copy_of(api.get(mould), name, owner))
        status = wait(api, name)
        if status in FINAL:
            break
    return status


def _say(message: str) -> None:
    print(message, flush=True)


def main() -> int:
    """Run the mould that the command line names; the exit status."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    server = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    try:
        return run(Api(server), sys.argv[1], owner_of(os.environ))
    except urllib.error.HTTPError as error:
        _say(f"{error.url}: {error.code} {error.reason}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
