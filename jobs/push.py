"""Push: subjects to the Zooniverse, each once."""

from __future__ import annotations

import os

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.panoptes import api
from pipeline.panoptes.connection import ZOONIVERSE, Connection
from pipeline.panoptes.credentials import credentials
from pipeline.panoptes.manifest import Manifest, read_manifest
from pipeline.panoptes.push import Push, make_plan, read_plan
from pipeline.panoptes.records import Ledger, state_uri
from pipeline.panoptes.settled import read_settled
from pipeline.places import Output
from pipeline.protocol.records.lease import hold_lease


class PushConfig(StrictModel):
    """What `tuningfork zooniverse push` takes.

    Attributes
    ----------
    subjects
        The folder `subjects` that `triage` wrote. The state of the upload is kept in its subfolder
        ``zooniverse``.
    project
        Id of the project, as shown in the project's lab.
    workflow
        Id of the workflow that is to show the subjects, once all are uploaded. Without one, they wait in
        their subject set.
    subject_set
        Id of a subject set of the project to put the subjects into; by default a new one is made.
    name
        Name of the new subject set.
    retire
        Table of galaxies (Parquet or CSV with `object_id`), such as a later ``settled.parquet``. The workflow
        no longer shows their subjects.
    threads
        How many subjects are uploaded in parallel.
    endpoint
        Address of Panoptes, the Zooniverse's server; by default PANOPTES_ENDPOINT, or else the Zooniverse.
    patience
        Seconds to wait for a response.
    """

    subjects: Output
    project: int = Field(gt=0)
    workflow: int | None = Field(default=None, gt=0)
    subject_set: int | None = Field(default=None, gt=0)
    name: str = Field(default="Galaxies for people", min_length=1, max_length=200)
    retire: str | None = None
    threads: int = Field(default=8, gt=0, le=32)
    endpoint: str | None = None
    patience: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _retire_where(self) -> PushConfig:
        if self.retire is not None and self.workflow is None:
            raise ValueError("retire=FILE is given, but no workflow=ID to retire galaxies in")
        return self


def run(config: PushConfig, dry_run: bool = False) -> None:
    """Upload, link, retire, and say what was done.

    Raises
    ------
    InputError
        If manifest, pictures, credentials or ids can't be used, or the Zooniverse refuses.
    HeldError
        If another process pushes the folder.
    RunError
        If the Zooniverse can't be reached for long.
    """
    manifest = read_manifest(storage.absolute(config.subjects))
    settled = set() if config.retire is None else read_settled(storage.absolute(config.retire))
    connection = connect(config.endpoint, config.patience)
    title = api.project_name(connection, config.project)
    if config.workflow is not None:
        api.workflow_sets(connection, config.workflow, config.project)
    if config.subject_set is not None:
        api.check_set(connection, config.subject_set, config.project)
    say(f"{len(manifest.rows):,} subjects for project {config.project}, {title}, at {connection.endpoint}")
    plan = read_plan(manifest, config.project, config.subject_set)
    if dry_run:
        _tell(config, manifest, settled)
        return
    with hold_lease(state_uri(manifest.folder), "of `zooniverse push`") as lease:
        plan = plan or make_plan(connection, manifest, config.project, config.subject_set)
        push = Push(connection, manifest, plan, lease, config.name, config.threads)
        before = push.sent
        with progress("Sending", len(manifest.rows), "subjects", before) as advance:
            removed = push.carry_out(advance)
        say(f"{push.sent - before:,} subjects sent, {push.sent:,} are in subject set {push.subject_set}")
        if removed:
            say(f"{removed:,} that were made twice, because a response was lost, have been removed")
        if config.workflow is not None:
            if api.link_set(connection, config.workflow, config.project, push.subject_set):
                say(f"Workflow {config.workflow} shows them from now on")
            if config.retire is not None:
                retired = [number for galaxy, number in push.ids.items() if galaxy in settled]
                api.retire(connection, config.workflow, retired)
                say(f"{len(retired):,} of them are settled; workflow {config.workflow} retires them")
    say(f"Subjects and their ids: {storage.join(state_uri(manifest.folder), 'subjects.csv')}")


def connect(endpoint: str | None, patience: float) -> Connection:
    """A connection with the credentials of the environment.

    Raises
    ------
    InputError
        If there are none, or the address can't be used.
    """
    return Connection(endpoint or os.environ.get("PANOPTES_ENDPOINT") or ZOONIVERSE, credentials(), patience)


def _tell(config: PushConfig, manifest: Manifest, settled: set[str]) -> None:
    """What a push would do."""
    sent = len(Ledger(state_uri(manifest.folder)).subjects)
    where = (
        f"subject set {config.subject_set}"
        if config.subject_set
        else f"a subject set {config.name!r} of their own"
    )
    say(f"{sent:,} of them are sent already; {len(manifest.rows) - sent:,} would be, to {where}")
    if config.workflow is not None:
        say(f"Workflow {config.workflow} would show them")
    if config.retire is not None:
        galaxies = sum(row.galaxy in settled for row in manifest.rows)
        say(f"{galaxies:,} of them are settled, and would be retired in workflow {config.workflow}")
    say("This is a dry run: nothing was sent or written")
