"""A server that behaves like Panoptes, as far as subjects, sets and exports go, on good days and bad ones.

``python -m tests.support.panoptes_server`` prints its port, and serves on 127.0.0.1 until it's ended.

References
----------
Panoptes, https://github.com/zooniverse/panoptes: app/controllers/api/v1, lib/json_api_controller.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import time
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.panoptes_access import GOOD_DAY, Problem, access, control, sessions, tokens
from tests.support.panoptes_exports import (
    OTHER_WORKFLOW,
    WORKFLOW,
    exporting,
    exports,
    ready,
    signature,
)
from tests.support.panoptes_faults import Faults

PROJECT, OTHER_PROJECT = 11, 12
MOST_ON_A_PAGE = 100

app = Flask(__name__)
app.register_blueprint(access)
app.register_blueprint(exporting)
lock = threading.RLock()
numbers = itertools.count(101)
projects = {PROJECT: "Galaxies of ours", OTHER_PROJECT: "Somebody else's"}
workflows: dict[int, dict[str, Any]] = {
    number: {"project": project, "sets": [], "retired": []}
    for number, project in ((WORKFLOW, PROJECT), (OTHER_WORKFLOW, OTHER_PROJECT))
}
sets: dict[int, dict[str, Any]] = {}
subjects: dict[int, dict[str, Any]] = {}
media: dict[str, str] = {}
requests_seen: dict[str, int] = {}
faults = Faults(tokens)


@app.errorhandler(Problem)
def _problem(problem: Problem) -> tuple[Response, int]:
    return jsonify({"errors": [{"message": f"{problem.message}{control['echo']}"}]}), problem.status


@app.before_request
def _only_who_is_known() -> None:
    with lock:
        parts = request.path.strip("/").split("/")
        kind = f"{request.method} {parts[1] if parts[0] == 'api' else parts[0]}"
        requests_seen[kind] = requests_seen.get(kind, 0) + 1
    if request.path.startswith("/api/"):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if tokens.get(token, 0) < time.time():
            raise Problem(401, "You must be logged in to access this resource.")
        if not request.headers.get("Accept", "").startswith("application/vnd.api+json; version=1"):
            raise Problem(406, "Not acceptable")


@app.get("/api/projects/<int:number>")
def _project(number: int) -> Any:
    if number not in projects:
        raise Problem(404, f"Could not find project with id='{number}'")
    return jsonify({"projects": [{"id": str(number), "display_name": projects[number]}]})


@app.get("/api/workflows/<int:number>")
def _workflow(number: int) -> Any:
    found = _found(workflows, number, "workflow")
    links = {"project": str(found["project"]), "subject_sets": [str(one) for one in found["sets"]]}
    return jsonify({"workflows": [{"id": str(number), "display_name": "A workflow", "links": links}]})


@app.post("/api/workflows/<int:number>/links/subject_sets")
def _link_set(number: int) -> Any:
    with lock:
        found = _found(workflows, number, "workflow")
        for one in request.get_json()["subject_sets"]:
            _found(sets, int(one), "subject_set")
            if int(one) not in found["sets"]:
                found["sets"].append(int(one))
    return _workflow(number)


@app.post("/api/workflows/<int:number>/retired_subjects")
def _retire(number: int) -> Any:
    asked = request.get_json()
    if asked["retirement_reason"] not in (
        "classification_count",
        "flagged",
        "nothing_here",
        "consensus",
        "other",
    ):
        raise Problem(422, "Retirement reason is not included in the list")
    with lock:
        retired = _found(workflows, number, "workflow")["retired"]
        retired += [int(one) for one in asked["subject_ids"] if int(one) not in retired]
    return Response(status=204)


@app.get("/api/subject_sets")
def _sets() -> Any:
    project = int(request.args["project_id"])
    return _page(
        "subject_sets", [_set_json(one) for one, it in sorted(sets.items()) if it["project"] == project]
    )


@app.get("/api/subject_sets/<int:number>")
def _set(number: int) -> Any:
    _found(sets, number, "subject_set")
    answer = jsonify({"subject_sets": [_set_json(number)]})
    answer.headers["ETag"] = _set_etag(number)
    return answer


@app.delete("/api/subject_sets/<int:number>")
def _remove_set(number: int) -> Any:
    with lock:
        _found(sets, number, "subject_set")
        _check_version(_set_etag(number))
        del sets[number]
    return Response(status=204)


@app.post("/api/subject_sets")
def _make_set() -> Any:
    asked = request.get_json()["subject_sets"]
    with lock:
        number = next(numbers)
        sets[number] = {
            "project": _own_project(asked["links"]),
            "name": asked["display_name"],
            "metadata": asked.get("metadata", {}),
            "subjects": [],
        }
    return jsonify({"subject_sets": [_set_json(number)]}), 201


@app.post("/api/subject_sets/<int:number>/links/subjects")
def _link_subjects(number: int) -> Any:
    """Links those that aren't linked yet; fails where one isn't there, or is named twice."""
    with lock:
        found = _found(sets, number, "subject_set")
        asked = [int(one) for one in request.get_json()["subjects"]]
        if sum(subjects.get(one, {}).get("active", False) for one in set(asked)) != len(asked):
            raise Problem(422, "Error: check the subject set and all the subjects exist.")
        pictured = [media.get(subjects[one]["media"]) for one in asked]
        if None in pictured:
            control["without_picture"] = control.get("without_picture", 0) + 1
        found["subjects"] += [one for one in asked if one not in found["subjects"]]
    return jsonify({"subject_sets": [_set_json(number)]})


@app.get("/api/subjects")
def _subjects() -> Any:
    with lock:
        if "subject_set_id" in request.args:
            ids = _found(sets, int(request.args["subject_set_id"]), "subject_set")["subjects"]
        else:
            project = int(request.args["project_id"])
            ids = [number for number, one in subjects.items() if one["project"] == project]
        ids = sorted(
            (one for one in ids if subjects[one]["active"]), reverse=request.args.get("sort") == "-id"
        )
        return _page("subjects", ids, lambda one: _subject_json(one))


@app.post("/api/subjects")
def _make_subject() -> Any:
    asked = request.get_json()["subjects"]
    if set(asked) - {"metadata", "locations", "links"} or not asked["locations"]:
        raise Problem(422, "schema")
    with lock:
        limit = control["subject_limit"]
        if limit is not None and len(subjects) >= limit:
            raise Problem(403, f"User has uploaded {len(subjects)} subjects of {limit} maximum")
        number = next(numbers)
        subjects[number] = {
            "project": _own_project(asked["links"]),
            "metadata": asked["metadata"],
            "media": secrets.token_hex(12),
            "active": True,
            "version": 0,
        }
    return _subject_answer(number, 201)


@app.get("/api/subjects/<int:number>")
def _subject(number: int) -> Any:
    return _subject_answer(_active(number))


@app.put("/api/subjects/<int:number>")
def _change_subject(number: int) -> Any:
    with lock:
        _check_version(_etag(_active(number)))
        subjects[number]["metadata"] = request.get_json()["subjects"]["metadata"]
        subjects[number]["version"] += 1
    return _subject_answer(number)


@app.delete("/api/subjects/<int:number>")
def _remove_subject(number: int) -> Any:
    with lock:
        _check_version(_etag(_active(number)))
        subjects[number]["active"] = False
    return Response(status=204)


@app.put("/media/<name>")
def _receive(name: str) -> Any:
    """Azure's blob store: who has the signed address may write, and nobody else's credentials come there."""
    if request.headers.get("Authorization") or request.headers.get("x-ms-blob-type") != "BlockBlob":
        raise Problem(400, "not so")
    if request.args.get("sig") != signature(name):
        raise Problem(403, "Signature did not match")
    media[name] = hashlib.sha256(request.get_data()).hexdigest()
    return Response(status=201)


@app.post("/_control")
def _control() -> Any:
    asked = request.get_json()
    if asked.pop("forget", False):
        _forget()
    faults.set(asked.pop("faults", None))
    if asked.pop("release", False):
        faults.release()
    if asked.pop("expire", False):
        tokens.clear()
        sessions.clear()
    if "ready_export" in asked:
        exports[WORKFLOW] = ready(asked.pop("ready_export"))
    control.update(asked)
    return jsonify({})


def _forget() -> None:
    with lock:
        faults.forget()
        for things in (tokens, sessions, sets, subjects, media, exports, control):
            things.clear()
        requests_seen.clear()
        control.update(GOOD_DAY)
        for workflow in workflows.values():
            workflow.update(sets=[], retired=[])


@app.get("/_count")
def _count() -> Any:
    """How many subjects there are, and how many requests there were; for tests."""
    return jsonify({"subjects": len(subjects), "requests": sum(requests_seen.values())})


@app.get("/_state")
def _state() -> Any:
    """All that the server knows; for tests."""
    with lock:
        pictures = {number: media.get(one["media"]) for number, one in subjects.items()}
        active = [number for number, one in subjects.items() if one["active"]]
        return jsonify(
            {
                "subjects": {number: subjects[number] for number in active},
                "removed": len(subjects) - len(active),
                "pictures": pictures,
                "sets": sets,
                "workflows": workflows,
                "without_picture": control.get("without_picture", 0),
                "faults": faults.made,
                "requests": requests_seen,
                "tokens": len(tokens),
            }
        )


def _found(things: dict[int, Any], number: int, kind: str) -> Any:
    if number not in things:
        raise Problem(404, f"Could not find {kind} with id='{number}'")
    return things[number]


def _active(number: int) -> int:
    if not _found(subjects, number, "subject")["active"]:
        raise Problem(404, f"Could not find subject with id='{number}'")
    return number


def _own_project(links: dict[str, Any]) -> int:
    if int(links["project"]) != PROJECT:
        raise Problem(422, "Couldn't find linked project for current user")
    return PROJECT


def _check_version(etag: str) -> None:
    given = request.headers.get("If-Match")
    if given is None:
        raise Problem(428, "Request requires If-Match header to be present")
    if given != etag:
        raise Problem(412, "Precondition failed")


def _set_etag(number: int) -> str:
    return f'W/"{number}-{len(sets[number]["subjects"])}"'


def _etag(number: int) -> str:
    return f'W/"{number}-{subjects[number]["version"]}"'


def _subject_answer(number: int, status: int = 200) -> Any:
    answer = jsonify({"subjects": [_subject_json(number, request.method in ("POST", "PUT"))]})
    answer.headers["ETag"] = _etag(number)
    return answer, status


def _subject_json(number: int, to_write: bool = False) -> dict[str, Any]:
    one = subjects[number]
    address = f"{request.host_url}media/{one['media']}"
    address += f"?sig={signature(one['media'])}" if to_write else ""
    links = {"project": str(one["project"])}
    return {
        "id": str(number),
        "metadata": one["metadata"],
        "locations": [{"image/jpeg": address}],
        "links": links,
    }


def _set_json(number: int) -> dict[str, Any]:
    one = sets[number]
    links = {"project": str(one["project"])}
    return {"id": str(number), "display_name": one["name"], "metadata": one["metadata"], "links": links}


def _page(kind: str, every: list[Any], shown: Any = lambda one: one) -> Any:
    page, size = int(request.args.get("page", 1)), min(int(request.args.get("page_size", 20)), MOST_ON_A_PAGE)
    last = page * size >= len(every)
    meta = {"page": page, "page_size": size, "next_href": None if last else f"/{kind}?page={page + 1}"}
    return jsonify(
        {kind: [shown(one) for one in every[(page - 1) * size : page * size]], "meta": {kind: meta}}
    )


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *ignored: Any, **also: Any) -> None:
        pass


def main() -> None:
    """Serve on a free port."""
    server = make_server("127.0.0.1", 0, faults.between(app), threaded=True, request_handler=_Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
