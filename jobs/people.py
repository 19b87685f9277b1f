"""The verbs about people who look at galaxies: their votes, and what comes of them."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.arguments import Catalogue, ConfigFile, Overrides, PrintConfig, configure


def votes(overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Gather what volunteers answered, from exports of the Zooniverse.

    `tuningfork votes export=FILE_OR_FOLDER output=URI [mapping=FILE] [tree=FILE]`

    Writes `OUTPUT/votes` (a Delta table of user, subject, question, answer, time). An export of later adds
    what is new, and each classification is counted once. Rows that can't be used go to `OUTPUT/quarantine`,
    each with its reason.
    """
    from jobs import votes as job

    job.run(configure(job.VotesConfig, config, overrides, print_config))


def consensus(
    table: Annotated[
        str, typer.Argument(metavar="VOTES", help="The folder `votes` of an output of `votes`.")
    ],
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Aggregate volunteers' votes: fractions, weighted fractions, and shares with credible intervals.

    `tuningfork consensus VOTES output=URI [prior=CATALOGUE] [users=FILE] [report=DIR]`

    Users are weighed by their consistency, as in Galaxy Zoo 2, and their confusion is learnt together with
    the galaxies' shares. With a catalogue of the same galaxies, a network's answers are what is known before
    the first vote.
    """
    from jobs import consensus as job

    job.run(configure(job.ConsensusConfig, config, overrides, print_config, votes=table))


def debias(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="What `consensus` wrote, or a catalogue.")],
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Correct shares for how far galaxies are: what people would say if all were near.

    `tuningfork debias TABLE galaxies=FILE output=DIR [magnitude=COLUMN] [size=COLUMN] [redshift=COLUMN]`

    Learns from galaxies of the same magnitude and size at different redshifts, as Galaxy Zoo 2 did, and
    writes `DIR/debiased` and `DIR/report.html`: shares by redshift, before and after.
    """
    from jobs import debias as job

    job.run(configure(job.DebiasConfig, config, overrides, print_config, table=table))


def loop(
    catalogue: Catalogue,
    overrides: Overrides = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Take a round of people and machine: what is settled by whom, who looks next, and when to train.

    `tuningfork loop CATALOGUE votes=out/people/votes output=DIR [votes_each=40] [price=0.0075]`

    The network's answers are what is known before the first vote. Writes `DIR/galaxies` (a Delta table, a
    version a round), the galaxies in which people gain most (`DIR/next.parquet`, and as a subject set in
    `DIR/subjects`), labels and pictures to train with (`DIR/labels`), and `DIR/report.html`. Without new
    votes, and with the same catalogue, it does nothing.
    """
    from jobs import loop as job

    job.run(configure(job.LoopConfig, config, overrides, print_config, catalogue=catalogue))
