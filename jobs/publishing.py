"""The verb that makes a catalogue public."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.words import Catalogue, ConfigFile, PrintConfig, Words, configure


def publish(
    catalogue: Catalogue,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The publication's folder.")],
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Publish a catalogue: one folder for a web server, an archive such as Zenodo, or VizieR.

    `tuningfork publish CATALOGUE OUT --config publication.yaml`

    The folder holds HATS, FITS, VOTable, a progressive catalogue for Aladin (HiPS), a coverage map (MOC), a
    README, `CITATION.cff` and DataCite's metadata. `title`, `creators` and `licence` are required. Run again
    after a `refresh`, it writes only the parts whose galaxies have changed, and switches to the new edition
    in one step; a call that was stopped continues. It needs the packages hats and mocpy: `pip install
    "tuningfork[publish]"`.
    """
    from jobs import publish as job

    job.run(configure(job.PublishConfig, config, words, print_config, catalogue=catalogue, out=out))
