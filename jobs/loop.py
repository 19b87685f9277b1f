"""Loop: one round of people and machine, from the votes so far to who looks next."""

from __future__ import annotations

import pyarrow.parquet as pq
from pydantic import Field

from pipeline import storage
from pipeline.catalogue.delta import open_version
from pipeline.catalogue.export import open_snapshot
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.report.rounds import write_rounds
from pipeline.run.learnable import LABELS_FILE, write_labels
from pipeline.run.settled import Settling, Votes, settled_schema
from pipeline.run.subjects import write_subjects
from pipeline.tree import GALAXY_ZOO_2, load_tree
from pipeline.volunteers import aggregate, fit_prior, read_ballots, sums_of_votes
from pipeline.volunteers.rounds import Round, labels_before, now, read_rounds, worth_training, write_round
from pipeline.volunteers.settlement import Terms
from pipeline.volunteers.table import read_network, write_table


class LoopConfig(StrictModel):
    """What `tuningfork loop` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    votes
        The folder ``votes`` of an output of `tuningfork votes`.
    output
        Where the table of galaxies, the labels, subjects and the page go, and where the rounds are
        remembered.
    tree
        The decision tree whose questions were asked.
    sure
        An answer is settled once it is the one that most volunteers would give, with at least this
        probability.
    votes_each
        At most how many volunteers classify a galaxy.
    price
        By how much one more classification must raise the probability that an answer is correct; volunteers
        go on while it does.
    subjects
        How many galaxies, those for which volunteers' classifications gain most, get an image and a line in
        the Zooniverse manifest.
    labels_from
        How many people must have classified a galaxy before its consensus becomes a label.
    """

    catalogue: TablePlace
    votes: TablePlace
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)
    sure: float = Field(default=0.9, gt=0.5, lt=1)
    votes_each: int = Field(default=40, gt=0, le=1_000)
    price: float = Field(default=0.0075, gt=0, lt=0.5)
    subjects: int = Field(default=1_000, ge=0)
    labels_from: int = Field(default=5, gt=0)


def run(config: LoopConfig) -> None:
    """Take a round, unless neither votes nor catalogue have changed since the last one.

    Raises
    ------
    InputError
        If catalogue, votes or tree can't be used, or none of the galaxies has votes.
    HeldError
        If another command takes the same round.
    """
    tree, output = load_tree(config.tree), storage.absolute(config.output)
    rounds = read_rounds(output)
    catalogue = storage.absolute(config.catalogue)
    snapshot = open_snapshot(catalogue, tree)
    votes = open_version(storage.absolute(config.votes)).version()
    seen = (votes, snapshot.provenance.version)
    if rounds and seen == (rounds[-1].votes, rounds[-1].catalogue):
        say(f"Nothing is new since round {len(rounds)}: the same votes, and the same catalogue")
        return
    with read_ballots(storage.absolute(config.votes), tree) as ballots:
        network = read_network(catalogue, tree, ballots.subjects)
        plain = sums_of_votes(ballots)
        knowledge = aggregate(ballots, network, plain)
        prior = fit_prior(tree, plain, network, knowledge.faithfulness)
        voted = Votes(ballots.subjects, knowledge.counts, ballots.classifications)
    settling = Settling(
        tree,
        prior,
        voted,
        Terms(config.sure, config.votes_each, config.price),
        config.subjects,
        config.labels_from,
    )
    with progress("Settling", snapshot.all_rows) as advance:
        rows = settling.rows(snapshot, advance)
        write_table(storage.join(output, "galaxies"), settled_schema(tree), rows)
    with storage.open_new(storage.join(output, "next.parquet")) as stream:
        pq.write_table(settling.next_galaxies.drop(["input"]), stream, compression="zstd")
    pictured = write_subjects(output, catalogue, settling.next_galaxies)
    one = Round(
        number=len(rounds) + 1,
        written=now(),
        votes=votes,
        catalogue=snapshot.provenance.version,
        weights=snapshot.provenance.making.get("weights_sha256", ""),
        galaxies=snapshot.all_rows,
        classifications=int(voted.classifications.sum()),
        done=settling.done,
        for_people=settling.for_people,
        for_experts=settling.for_experts,
        to_come=round(settling.to_come),
        labels=write_labels(output, catalogue, *settling.labelled, tree),
        answers=settling.answers,
    )
    page = write_rounds(output, tree, [*rounds, one], config.votes_each)
    write_round(output, one)
    _tell(config, output, [*rounds, one], pictured)
    say(f"Report:   {page}")


def _tell(config: LoopConfig, output: str, rounds: list[Round], pictured: int) -> None:
    one = rounds[-1]
    say(one.in_words())
    say(
        f"{one.for_people:,} galaxies are for volunteers, about {one.to_come:,} more classifications in all; "
        f"{one.for_experts:,} are for experts, because volunteers are split over them. The first "
        f"{pictured:,} have their images in {storage.join(output, 'subjects')}"
    )
    before = labels_before(rounds, one.weights)
    folder = storage.join(output, "labels")
    if worth_training(one.labels, before):
        say(
            f"Train now: {one.labels:,} galaxies have a consensus, {one.labels - before:,} more than when "
            f"the weights were trained: tuningfork train data={folder} labels={LABELS_FILE} "
            "init=compact recipe=few_labels output=…, then refresh with the new weights"
        )
    else:
        say(
            f"{one.labels:,} galaxies have a consensus ({folder}), and {before:,} had one when the weights "
            "were trained: too few new ones to train again"
        )
