"""The verbs that go to the Zooniverse and back."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.arguments import ConfigFile, Overrides, PrintConfig, configure
from jobs.verb import takes

zooniverse = typer.Typer(
    no_args_is_help=True, help="Send subjects to the Zooniverse, and fetch what came of them."
)


@zooniverse.command("push", cls=takes("jobs.push.PushConfig", "subjects"))
def push(
    subjects: Annotated[
        str, typer.Argument(metavar="SUBJECTS", help="The folder `subjects` that `triage` wrote.")
    ],
    overrides: Overrides = None,
    config: ConfigFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and stop.")] = False,
    print_config: PrintConfig = False,
) -> None:
    """Upload the subjects that `triage` wrote, each once, and have a workflow show them.

    `tuningfork zooniverse push SUBJECTS project=ID [workflow=ID] [subject_set=ID] [retire=FILE]`

    Run again, it continues where it was stopped, by whatever; a complete one does nothing. Credentials are
    taken from the environment only: PANOPTES_CLIENT_ID and PANOPTES_CLIENT_SECRET, or PANOPTES_USERNAME and
    PANOPTES_PASSWORD. It needs the package panoptes-client: `pip install "tuningfork[zooniverse]"`.
    """
    from jobs import push as job

    job.run(configure(job.PushConfig, config, overrides, print_config, subjects=subjects), dry_run)


@zooniverse.command("pull", cls=takes("jobs.pull.PullConfig"))
def pull(overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Fetch a workflow's classification export, whole, for `votes` to read.

    `tuningfork zooniverse pull workflow=ID output=DIR [generate=true] [wait=4h] [votes=URI]`

    Takes the last export that was made; with `generate=true` it has a new one made and waits for it. With
    `votes=URI` its classifications are added there at once, as `tuningfork votes` does. Credentials are those
    of `push`.
    """
    from jobs import pull as job

    job.run(configure(job.PullConfig, config, overrides, print_config))
