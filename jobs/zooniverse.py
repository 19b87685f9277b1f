"""The verbs that go to the Zooniverse and back."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.verb import takes
from jobs.words import ConfigFile, PrintConfig, Words, configure

zooniverse = typer.Typer(
    no_args_is_help=True, help="Send subjects to the Zooniverse, and download classifications."
)


@zooniverse.command("push", cls=takes("jobs.push.PushConfig", "subjects"))
def push(
    subjects: Annotated[
        str, typer.Argument(metavar="SUBJECTS", help="The folder `subjects` that `triage` wrote.")
    ],
    words: Words = None,
    config: ConfigFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")] = False,
    print_config: PrintConfig = False,
) -> None:
    """Upload the subjects that `triage` wrote, each once, and have a workflow show them.

    `tuningfork zooniverse push SUBJECTS project=ID [workflow=ID] [subject_set=ID] [retire=FILE]`

    If it was stopped, for whatever reason, the same command continues; if it is complete, nothing is done.
    Credentials are taken from the environment only: PANOPTES_CLIENT_ID and PANOPTES_CLIENT_SECRET, or
    PANOPTES_USERNAME and PANOPTES_PASSWORD. It needs the package panoptes-client: `pip install
    "tuningfork[zooniverse]"`.
    """
    from jobs import push as job

    job.run(configure(job.PushConfig, config, words, print_config, subjects=subjects), dry_run)


@zooniverse.command("pull", cls=takes("jobs.pull.PullConfig"))
def pull(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Download a workflow's classification export, for `votes` to read.

    `tuningfork zooniverse pull workflow=ID output=DIR [generate=true] [wait=4h] [votes=URI]`

    Takes the most recent export; with `generate=true` it requests a new one and waits for it. With
    `votes=URI` it also adds the classifications there, as `tuningfork votes` does. Credentials are those of
    `push`.
    """
    from jobs import pull as job

    job.run(configure(job.PullConfig, config, words, print_config))
