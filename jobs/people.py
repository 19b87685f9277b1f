"""The verbs about people who look at galaxies: their votes, and what comes of them."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.words import Catalogue, ConfigFile, PrintConfig, Words, configure


def votes(words: Words = None, config: ConfigFile = None, print_config: PrintConfig = False) -> None:
    """Gather volunteers' votes from exports of the Zooniverse in one table.

    `tuningfork votes export=FILE_OR_FOLDER output=URI [mapping=FILE] [tree=FILE]`

    Writes `OUTPUT/votes`, a Delta table of user, subject, question, answer and time. A later export adds what
    is new; each classification is counted once. Rows that can't be used go to `OUTPUT/quarantine`, with the
    reason.
    """
    from jobs import votes as job

    job.run(configure(job.VotesConfig, config, words, print_config))


def consensus(
    table: Annotated[
        str, typer.Argument(metavar="VOTES", help="The folder `votes` of an output of `votes`.")
    ],
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Aggregate volunteers' votes to vote fractions with credible intervals.

    `tuningfork consensus VOTES output=URI [prior=CATALOGUE] [users=FILE] [report=DIR]`

    Writes two estimates: fractions weighted by the users' consistency, as in Galaxy Zoo 2, and those of a
    Bayesian model that learns each user's confusion matrix together with the galaxies' vote fractions. With a
    catalogue of the same galaxies, a network's predictions are the prior.
    """
    from jobs import consensus as job

    job.run(configure(job.ConsensusConfig, config, words, print_config, votes=table))


def debias(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="What `consensus` wrote, or a catalogue.")],
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Correct vote fractions for redshift bias: what volunteers would say if all galaxies were near.

    `tuningfork debias TABLE galaxies=FILE output=DIR [magnitude=COLUMN] [size=COLUMN] [redshift=COLUMN]`

    Learns from galaxies of the same magnitude and size at different redshifts, as Galaxy Zoo 2 did. Writes
    `DIR/debiased`, and `DIR/report.html` with vote fractions against redshift, before and after.
    """
    from jobs import debias as job

    job.run(configure(job.DebiasConfig, config, words, print_config, table=table))


def loop(
    catalogue: Catalogue,
    words: Words = None,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
) -> None:
    """Run a round of active learning: what is settled, what to classify next, when to train.

    `tuningfork loop CATALOGUE votes=out/people/votes output=DIR [votes_each=40] [price=0.0075]`

    The network's predictions are the prior, volunteers' votes the data. Writes `DIR/galaxies` (a Delta table
    with one version per round); the galaxies for which volunteers' classifications gain most, as
    `DIR/next.parquet` and as a subject set in `DIR/subjects`; labels and images to train on, in `DIR/labels`;
    and `DIR/report.html`. If neither votes nor catalogue have changed, it does nothing.
    """
    from jobs import loop as job

    job.run(configure(job.LoopConfig, config, words, print_config, catalogue=catalogue))
