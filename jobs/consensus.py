"""Consensus: what volunteers say together of each galaxy, and how far each of them is to be believed."""

from __future__ import annotations

import numpy as np

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.report.consensus import consensus_sections
from pipeline.report.document import write_document
from pipeline.tree import GALAXY_ZOO_2, load_tree
from pipeline.volunteers.ballots import Ballots, read_ballots
from pipeline.volunteers.bayesian import KINDS, Knowledge, aggregate
from pipeline.volunteers.overview import agreement_by_question, days_of_galaxies, users_by_kind
from pipeline.volunteers.table import (
    consensus_batches,
    consensus_schema,
    read_network,
    users_table,
    write_table,
)
from pipeline.volunteers.weights import Weighted, weighted_votes


class ConsensusConfig(StrictModel):
    """What `tuningfork consensus` takes.

    Attributes
    ----------
    votes
        The folder ``votes`` of an output of `tuningfork votes`.
    output
        The table to write: a Parquet file if the name ends in ``.parquet``; otherwise a Delta table, which
        gets a new version.
    tree
        The decision tree whose questions were asked.
    prior
        A catalogue of the same galaxies, whose predictions are the prior; how many votes they are worth is
        learnt from the votes.
    users
        A Parquet file to write about the users: their consistency and weight, and the probability that they
        are careful, careless or contrary.
    report
        A folder for ``report.html``: the users' skill, how far people agree, which questions are the hardest,
        and how long galaxies took.
    """

    votes: TablePlace
    output: TablePlace
    tree: TreeFile = str(GALAXY_ZOO_2)
    prior: TablePlace | None = None
    users: str | None = None
    report: Output | None = None


def run(config: ConsensusConfig) -> None:
    """Aggregate all votes, by Galaxy Zoo 2's weights and by Bayes' rule, and write the consensus.

    Raises
    ------
    InputError
        If votes, catalogue or tree can't be used.
    """
    tree = load_tree(config.tree)
    output = storage.absolute(config.output)
    with read_ballots(storage.absolute(config.votes), tree) as ballots:
        network = None
        if config.prior is not None:
            network = read_network(storage.absolute(config.prior), tree, ballots.subjects)
        weighted = weighted_votes(ballots)
        knowledge = aggregate(ballots, network, weighted.counts)
        write_table(output, consensus_schema(tree), consensus_batches(ballots, weighted, knowledge))
        if config.users is not None:
            users = users_table(ballots, weighted, knowledge)
            write_table(storage.absolute(config.users), users.schema, users.to_batches())
        kinds = ", ".join(
            f"{share:.1%} {kind}" for kind, share in zip(KINDS, knowledge.proportions, strict=True)
        )
        say(
            f"{ballots.votes:,} votes in {ballots.classifications.sum():,} classifications of "
            f"{len(ballots.subjects):,} galaxies by {len(ballots.users):,} users ({kinds})"
        )
        if network is not None:
            say(f"{len(network.galaxies):,} of the galaxies have a network's answers as their prior")
        if config.report is not None:
            say(f"Report:   {_write_page(config, ballots, weighted, knowledge)}")
    say(f"Consensus: {output}")


def _write_page(config: ConsensusConfig, ballots: Ballots, weighted: Weighted, knowledge: Knowledge) -> str:
    assert config.report is not None
    users = users_by_kind(ballots, weighted, knowledge)
    agreements = agreement_by_question(ballots.tree, weighted, knowledge)
    looks, votes = ballots.classifications, sum(kind.votes for kind in users)
    days = days_of_galaxies(storage.absolute(config.votes), ballots.subjects)
    return write_document(
        storage.absolute(config.report),
        "What volunteers say together",
        f"{looks.sum():,} classifications of {len(looks):,} galaxies by {len(ballots.users):,} users.",
        consensus_sections(users, agreements, looks, days),
        facts=[
            (f"{votes:,}", "votes"),
            (f"{np.median(looks):.0f}", "people have looked at a galaxy"),
            (f"{users[0].votes / max(votes, 1):.1%}", "of the votes by careful users"),
            (agreements[0].question.replace("_", " "), "is the hardest question"),
        ],
    )
