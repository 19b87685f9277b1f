"""Detect: giant star-forming clumps of the galaxies of a survey, and a page of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs import classify
from pipeline.console import say
from pipeline.run.clumps import write_clump_page


class DetectConfig(classify.ClassifyConfig):
    """What `tuningfork detect` takes: the settings of `classify`, two of which have other defaults.

    Attributes
    ----------
    clumps
        Whether to find each galaxy's giant star-forming clumps; always true.
    transforms
        60 or 1: transforms whose mean the answers beside the clumps are of.
    shown
        At most how many galaxies the page of clumps shows.
    """

    clumps: Literal[True] = True
    transforms: Literal[60, 1] = 1
    shown: int = Field(default=60, ge=1, le=1000)


def run(config: DetectConfig, dry_run: bool = False) -> None:
    """Find the clumps of a cutout set's galaxies; run again, it continues where it was.

    Raises
    ------
    InputError
        If the input, the weights or the tree can't be used, or the output holds another run.
    """
    classify.run(config, dry_run)
    if not dry_run:
        page = write_clump_page(config.output, config.tree, config.clump_weights, config.shown)
        say(f"Clumps:    {page}")
