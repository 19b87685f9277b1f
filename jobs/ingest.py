"""Ingest: the verbs that make a cutout shard set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jobs.verb import takes
from jobs.words import ConfigFile, PrintConfig, Words, configure
from pipeline.console import say

if TYPE_CHECKING:
    from pipeline.cutouts.ingest import IngestResult

ingest = typer.Typer(no_args_is_help=True, help="Make a cutout set, an input of `classify`.")


@ingest.command("hubble", cls=takes("pipeline.cutouts.ingest.IngestHubbleConfig"))
def ingest_hubble(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Make cutouts of the galaxies in the Hubble deep field, an image that comes with scikit-image.

    `tuningfork ingest hubble output=URI`
    """
    from pipeline.cutouts import ingest as job

    _tell(job.ingest_hubble(configure(job.IngestHubbleConfig, config, words, print_config)))


@ingest.command("images", cls=takes("pipeline.cutouts.ingest.IngestImagesConfig", "input"))
def ingest_images(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder of JPEG and PNG images, one galaxy in each.")
    ],
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Make a cutout set from a folder of images, with one galaxy at the centre of each.

    `tuningfork ingest images DIR output=URI [positions=CSV]`

    The CSV has the columns `name, ra, dec`; `objid` or `object_id` may replace `name`. A galaxy's id is the
    name of its file without extension.
    """
    from pipeline.cutouts import ingest as job

    _tell(job.ingest_images(configure(job.IngestImagesConfig, config, words, print_config, input=folder)))


def _tell(result: IngestResult) -> None:
    say(result.summary)
    for warning in result.warnings:
        typer.echo(f"tuningfork: note: {warning}", err=True)
