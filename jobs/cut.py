"""Cut: a cutout set from a survey's tiles, by a table of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from jobs.words import ConfigFile, PrintConfig, Words, configure

if TYPE_CHECKING:
    from pipeline.cutting.settings import CutConfig


def cut(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Make cutouts from a survey's images and a table of positions.

    `tuningfork cut --config cut_sdss positions=TABLE tiles=URI output=URI frame.column=petroR90_r`

    TABLE is FITS, VOTable, CSV or Parquet with `object_id` (or `objid`), `ra`, `dec` in degrees. Writes a
    cutout set, which `classify` takes as input, and `OUTPUT/misses.csv`: the positions without a cutout, with
    the reason. `cut_sdss`, `cut_legacy` and `cut_lsst` describe the images of those surveys. If it was
    stopped, the same command continues.
    """
    from pipeline.cutting.settings import CutConfig

    run(configure(CutConfig, config, words, print_config))


def run(config: CutConfig) -> None:
    """Cut, and say what came of it.

    Raises
    ------
    InputError
        If the positions, the tiles or the survey can't be used, or the output holds something else.
    """
    from pipeline.console import say
    from pipeline.run.cutting import cut_positions
    from pipeline.streaming.cutting import spread

    survey, created = cut_positions(config, spread)
    if not created:
        say(f"{config.output}: already there, {survey.cutouts:,} cutouts, nothing to do")
        return
    say(f"{config.output}: {survey.cutouts:,} cutouts of {survey.counts['positions']:,} positions")
    missed = [
        f"{n:,} {key.removeprefix('missed_')}" for key, n in survey.counts.items() if key != "positions"
    ]
    if missed:
        typer.echo(f"tuningfork: note: missed {', '.join(missed)}; see {config.output}/misses.csv", err=True)
