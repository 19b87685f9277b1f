"""Exports of classifications by a Panoptes of tests: asked for, made in a while, and fetched."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tests.support.panoptes_access import Problem, control

WORKFLOW, OTHER_WORKFLOW = 21, 22

exporting = Blueprint("exporting", __name__)
exports: dict[int, dict[str, Any]] = {}
lock = threading.Lock()


def ready(text: str) -> dict[str, Any]:
    """An export that was made before."""
    return {"state": "ready", "updated_at": _now(), "ready_at": 0.0, "text": text}


@exporting.get("/api/workflows/<int:number>/classifications_export")
def _export(number: int) -> Any:
    _check(number)
    if number not in exports:
        raise Problem(404, f"No classifications_export exists for workflow #{number}")
    found = exports[number]
    if found["ready_at"] is not None and time.time() >= found["ready_at"] and found["state"] != "ready":
        found |= {"state": "ready", "updated_at": _now(), "text": control["export"]}
    src = f"{request.host_url}exports/{number}.csv?sig={signature(str(number))}"
    medium = {"id": "1", "src": src, "updated_at": found["updated_at"], "metadata": {"state": found["state"]}}
    return jsonify({"media": [medium]})


@exporting.post("/api/workflows/<int:number>/classifications_export")
def _ask_for_export(number: int) -> Any:
    _check(number)
    with lock:
        late = control.get("export_seconds", 0.5)
        found = exports.setdefault(number, {"text": ""})
        found |= {
            "state": "creating",
            "updated_at": _now(),
            "ready_at": None if late is None else time.time() + late,
        }
    return _export(number), 201


@exporting.get("/exports/<name>.csv")
def _read_export(name: str) -> Any:
    if request.args.get("sig") != signature(name) or request.headers.get("Authorization"):
        raise Problem(403, "Signature did not match")
    text = exports[int(name)]["text"].encode()
    if control.get("half_sent", 0) > 0:
        control["half_sent"] -= 1
        half = Response(text[: len(text) // 2], content_type="text/csv")
        half.automatically_set_content_length = False
        half.headers["Content-Length"] = str(len(text))
        return half
    return Response(text, content_type="text/csv")


def signature(name: str) -> str:
    return hashlib.sha256(f"signed {name}".encode()).hexdigest()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9 // 10**6:03d}Z"


def _check(workflow: int) -> None:
    if workflow not in (WORKFLOW, OTHER_WORKFLOW):
        raise Problem(404, f"Could not find workflow with id='{workflow}'")
