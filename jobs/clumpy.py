"""The verbs about star-forming clumps."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.arguments import Catalogue, ConfigFile, Overrides, PrintConfig, configure

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")]


def detect(
    overrides: Overrides = None,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    print_config: PrintConfig = False,
) -> None:
    """Find the giant star-forming clumps of a survey's galaxies.

    `tuningfork detect input=URI output=URI [survey=FILE] [clump_weights=FILE] …`

    Takes the input and the settings of `classify`, and classifies by a single view besides. Writes
    `OUTPUT/catalogue`, where each galaxy has its clumps, and the page `OUTPUT/clumps/report.html`. A run that
    was stopped continues when you give the same command again. `tuningfork refresh … clumps=true` with the
    same settings brings the catalogue up to date; `tuningfork clumps` makes a table, one row for each clump.
    """
    from jobs import detect as job

    job.run(configure(job.DetectConfig, config, overrides, print_config), dry_run)


def clumps(
    catalogue: Catalogue,
    out: Annotated[str, typer.Argument(metavar="OUT", help="File to write; for `hats`, a folder.")],
    overrides: Overrides = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="csv, parquet, fits, votable, hats; by default, by the ending of OUT."),
    ] = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Write the clumps of a catalogue as a table, one row for each clump.

    `tuningfork clumps CATALOGUE OUT --format fits`

    The catalogue must have been made with `tuningfork detect`. Each row has the clump's position in the image
    and, where the image's scale is known, in the sky, its probability, and its flux ratio to the galaxy in
    each band of the image.
    """
    from jobs import clumps as job

    arguments = {"catalogue": catalogue, "out": out} | ({"format": form} if form else {})
    job.run(configure(job.ClumpsConfig, config, overrides, print_config, **arguments))
