"""What is asked of Panoptes: projects, workflows, subject sets, subjects and their pictures.

References
----------
Panoptes, https://github.com/zooniverse/panoptes: app/controllers/api/v1, lib/json_api_controller.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError, RunError
from pipeline.panoptes.connection import Connection, LostAnswer, Refused

LABEL = "#tuningfork"
"""Name of the metadata that identify what was uploaded; what begins with ``#`` is hidden from volunteers."""

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between looking whether something was made of which no answer came."""

PAGE = 100
"""Most things that Panoptes gives, or takes, at a time."""


@dataclass(frozen=True)
class Labelled:
    """A subject, or a subject set, and what it's labelled with; empty if it isn't ours."""

    id: int
    label: str


def project_name(connection: Connection, project: int) -> str:
    """What a project is called.

    Raises
    ------
    InputError
        If there is none of that id, or these credentials may not see it.
    """
    resource = _resource(connection, "projects", project, "project")
    return str(resource.get("display_name", project))


def workflow_sets(connection: Connection, workflow: int, project: int) -> set[int]:
    """Subject sets that a workflow shows.

    Raises
    ------
    InputError
        If there is none of that id, or it is another project's.
    """
    resource = _resource(connection, "workflows", workflow, "workflow")
    _check_owner(resource, project, f"workflow={workflow}")
    return {int(one) for one in resource["links"].get("subject_sets", ())}


def check_set(connection: Connection, subject_set: int, project: int) -> None:
    """Make sure that a subject set is there.

    Raises
    ------
    InputError
        If there is none of that id, or it is another project's.
    """
    resource = _resource(connection, "subject_sets", subject_set, "subject_set")
    _check_owner(resource, project, f"{subject_set=}")


def labelled_sets(connection: Connection, project: int, label: str) -> list[int]:
    """Those of a project's subject sets that bear a label, the one made first before the others."""
    pages = _pages(connection, "subject_sets", project_id=project)
    return sorted(one.id for one in map(_labelled, pages) if one.label == label)


def make_set(connection: Connection, project: int, name: str, label: str) -> int:
    """The subject set of a label, made if it isn't there; another may turn up if an answer was lost.

    Raises
    ------
    Refused, RunError
        See `Connection.get`.
    """
    body = {"display_name": name, "metadata": {LABEL: label}, "links": {"project": str(project)}}
    for seconds in _PAUSES:
        if sets := labelled_sets(connection, project, label):
            return sets[0]
        try:
            made = connection.create("/subject_sets", {"subject_sets": body})
            return int(made.content["subject_sets"][0]["id"])
        except LostAnswer:
            time.sleep(seconds)
    raise RunError(
        f"{connection.endpoint} made no subject set {len(_PAUSES)} times in a row; try again later"
    )


def newest_subject(connection: Connection, project: int) -> int:
    """Id of the subject of a project that was made last; 0 if it has none. Ids only grow."""
    answer = connection.get("/subjects", project_id=project, sort="-id", page_size=1)
    return max((int(one["id"]) for one in answer.content["subjects"]), default=0)


def subjects_after(connection: Connection, project: int, after: int) -> Iterator[Labelled]:
    """Subjects of a project with ids above one, in a set or in none, the newest first.

    That new ones push others to later pages shows some twice and hides none.
    """
    for one in _pages(connection, "subjects", project_id=project, sort="-id"):
        if int(one["id"]) <= after:
            return
        yield _labelled(one)


def subjects_of(connection: Connection, subject_set: int) -> Iterator[Labelled]:
    """The subjects in a set."""
    return map(_labelled, _pages(connection, "subjects", subject_set_id=subject_set, sort="id"))


def make_subject(connection: Connection, project: int, metadata: Mapping[str, str]) -> tuple[int, str]:
    """Make a subject with a picture to come, in no set: nobody is shown it.

    Returns
    -------
    id : int
    address : str
        Where the picture, a JPEG, is to be sent; who has it may write there.

    Raises
    ------
    LostAnswer
        If it may have been made.
    Refused, RunError
        See `Connection.get`.
    """
    body = {"locations": ["image/jpeg"], "metadata": dict(metadata), "links": {"project": str(project)}}
    made = connection.create("/subjects", {"subjects": body}).content["subjects"][0]
    return int(made["id"]), _address(made)


def picture_address(connection: Connection, subject: int, metadata: Mapping[str, str]) -> str:
    """Where the picture of a subject that is there is to be sent, again if need be."""
    path = f"/subjects/{subject}"
    seen = connection.get(path)
    changed = connection.put(path, {"subjects": {"metadata": dict(metadata)}}, seen.etag)
    return _address(changed.content["subjects"][0])


def remove_subject(connection: Connection, subject: int) -> None:
    """Have a subject put away; one that isn't there is no error."""
    _remove(connection, f"/subjects/{subject}")


def remove_set(connection: Connection, subject_set: int) -> bool:
    """Have a subject set put away that holds nothing; False if it holds subjects."""
    if any(subjects_of(connection, subject_set)):
        return False
    _remove(connection, f"/subject_sets/{subject_set}")
    return True


def _remove(connection: Connection, path: str) -> None:
    try:
        connection.delete(path, connection.get(path).etag)
    except Refused as error:
        if error.status not in (404, 412):
            raise


def link_subjects(connection: Connection, subject_set: int, subjects: Sequence[int]) -> None:
    """Put subjects into a set; those that are in it stay so."""
    for start in range(0, len(subjects), PAGE):
        body = {"subjects": [str(one) for one in subjects[start : start + PAGE]]}
        connection.post(f"/subject_sets/{subject_set}/links/subjects", body)


def link_set(connection: Connection, workflow: int, project: int, subject_set: int) -> bool:
    """Have a workflow show a subject set; False if it does already."""
    body = {"subject_sets": [str(subject_set)]}
    for number, seconds in enumerate(_PAUSES):
        if subject_set in workflow_sets(connection, workflow, project):
            return number > 0
        try:
            connection.create(f"/workflows/{workflow}/links/subject_sets", body)
            return True
        except LostAnswer:
            time.sleep(seconds)
    raise RunError(
        f"{connection.endpoint} linked no subject set {len(_PAUSES)} times in a row; try again later"
    )


def retire(connection: Connection, workflow: int, subjects: Sequence[int]) -> None:
    """Have a workflow show subjects to nobody any more; those of which that is so stay so."""
    for start in range(0, len(subjects), PAGE):
        body = {
            "subject_ids": [str(one) for one in subjects[start : start + PAGE]],
            "retirement_reason": "consensus",
        }
        connection.post(f"/workflows/{workflow}/retired_subjects", body)


def _resource(connection: Connection, kind: str, number: int, setting: str) -> dict[str, Any]:
    try:
        resource: dict[str, Any] = connection.get(f"/{kind}/{number}").content[kind][0]
    except Refused as error:
        if error.status not in (403, 404):
            raise
        raise InputError(
            f"{setting}={number}: {connection.endpoint} has none of that id that these credentials may see; "
            "look it up in the project's lab"
        ) from error
    return resource


def _check_owner(resource: Mapping[str, Any], project: int, setting: str) -> None:
    owner = resource["links"].get("project")
    if str(owner) != str(project):
        raise InputError(f"{setting} is of project {owner}; expected one of project={project}")


def _pages(connection: Connection, kind: str, **parameters: str | int) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        content = connection.get(f"/{kind}", **parameters, page=page, page_size=PAGE).content
        yield from content[kind]
        if not content[kind] or not content["meta"][kind].get("next_href"):
            return
        page += 1


def _labelled(one: Mapping[str, Any]) -> Labelled:
    return Labelled(int(one["id"]), str((one.get("metadata") or {}).get(LABEL, "")))


def _address(subject: Mapping[str, Any]) -> str:
    (address,) = subject["locations"][0].values()
    return str(address)
