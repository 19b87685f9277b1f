"""Pull: a workflow's classifications from the Zooniverse."""

from __future__ import annotations

from pydantic import Field, field_validator

from jobs import votes
from jobs.push import connect
from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.panoptes.connection import Connection
from pipeline.panoptes.pull import (
    Export,
    ask_for_export,
    fetch_export,
    find_export,
    wait_for_export,
)
from pipeline.places import MappingFile, Output, TablePlace, TreeFile
from pipeline.tree import GALAXY_ZOO_2
from pipeline.upkeep import parse_duration
from pipeline.volunteers.mapping import GALAXY_ZOO_2_TASKS


class PullConfig(StrictModel):
    """What `tuningfork zooniverse pull` takes.

    Attributes
    ----------
    workflow
        Id of the workflow, as shown in the project's lab.
    output
        Folder for exports; each is a file named by workflow and time.
    generate
        Request a new export from the Zooniverse, and wait for it. The Zooniverse makes at most one a day.
    wait
        How long to wait for an export that is being made, such as ``90m`` or ``4h``.
    votes
        Output of `tuningfork votes` to which the classifications are added.
    mapping
        As in `tuningfork votes`: which task of the workflow asks which question.
    tree
        As in `tuningfork votes`: the decision tree.
    endpoint
        Address of Panoptes, the Zooniverse's server; by default PANOPTES_ENDPOINT, or else the Zooniverse.
    patience
        Seconds to wait for a response.
    """

    workflow: int = Field(gt=0)
    output: Output
    generate: bool = False
    wait: str = "4h"
    votes: TablePlace | None = None
    mapping: MappingFile = str(GALAXY_ZOO_2_TASKS)
    tree: TreeFile = str(GALAXY_ZOO_2)
    endpoint: str | None = None
    patience: float = Field(default=60.0, gt=0)

    @field_validator("wait")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


def run(config: PullConfig) -> None:
    """Fetch the export, say where it is, and hand it on.

    Raises
    ------
    InputError
        If there is none, it can't be used, or the Zooniverse refuses.
    RunError
        If it isn't ready, or can't be had.
    """
    connection = connect(config.endpoint, config.patience)
    export = _export(connection, config)
    uri = fetch_export(connection, config.workflow, export, storage.absolute(config.output))
    say(f"The classifications of workflow {config.workflow} as of {export.changed}: {uri}")
    if config.votes is None:
        say(f"Next: tuningfork votes export={uri} output=…")
        return
    votes.run(votes.VotesConfig(export=uri, output=config.votes, mapping=config.mapping, tree=config.tree))


def _export(connection: Connection, config: PullConfig) -> Export:
    seconds = parse_duration(config.wait).total_seconds()
    last = find_export(connection, config.workflow)
    if config.generate:
        ask_for_export(connection, config.workflow, last)
        say(f"An export of workflow {config.workflow} is asked for; waiting up to {config.wait}")
        return wait_for_export(connection, config.workflow, last, seconds)
    if last is None:
        raise InputError(
            f"workflow={config.workflow}: {connection.endpoint} has no export of it, or none that you may "
            "see; check the id, and have one made: generate=true"
        )
    if last.ready:
        return last
    say(f"The export of workflow {config.workflow} is being made; waiting up to {config.wait}")
    return wait_for_export(connection, config.workflow, None, seconds)
