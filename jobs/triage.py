"""Triage: which galaxies of a catalogue are settled, and which people should look at."""

from __future__ import annotations

from pydantic import Field

from pipeline import storage
from pipeline.catalogue.export import open_snapshot
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation.labelled import read_labelled
from pipeline.evaluation.triage import learn_threshold
from pipeline.places import Output, TablePlace, TreeFile, WeightsFile
from pipeline.report.document import write_document
from pipeline.report.triage import triage_sections
from pipeline.run.lists import write_lists
from pipeline.run.seen import judge_by
from pipeline.run.subjects import write_subjects
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, Question, load_tree


class TriageConfig(StrictModel):
    """What `tuningfork triage` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    labels
        CSV of vote fractions for some of the galaxies.
    output
        Where the lists, the subjects and the report go.
    tree
        The decision tree whose answers the catalogue holds.
    target
        What fraction of the settled answers must be what most volunteers would give.
    risk
        Accepted probability that this target is missed, over random draws of the labelled galaxies.
    questions
        Keys of the questions to settle; all questions of the tree if none is given.
    subjects
        At most how many galaxies, the least confident first, get an image and a line in the Zooniverse
        manifest.
    votes_each
        How many volunteers would look at a galaxy, to compute the work saved.
    weights
        The weights that made the catalogue. Nothing is learnt from galaxies on whose images they were
        trained, if the weights have a list of these.
    include_seen
        Whether to include these galaxies.
    """

    catalogue: TablePlace
    labels: str
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)
    target: float = Field(default=0.95, gt=0.5, lt=1)
    risk: float = Field(default=0.1, gt=0, lt=1)
    questions: tuple[str, ...] = ()
    subjects: int = Field(default=1_000, ge=0)
    votes_each: int = Field(default=40, gt=0)
    weights: WeightsFile = Field("compact", validate_default=True)
    include_seen: bool = False


def run(config: TriageConfig) -> None:
    """Learn the thresholds, split the catalogue, write both lists, the subjects and the report.

    Raises
    ------
    InputError
        If catalogue, labels or questions can't be used.
    """
    tree = load_tree(config.tree)
    questions = _questions(tree, config.questions)
    every, named = read_labelled(config.catalogue, config.labels, tree), "weights" in config.model_fields_set
    judged = judge_by(every, config.catalogue, config.weights, named, config.include_seen)
    labelled = judged.galaxies
    say(judged.told)
    volunteers = None if labelled.uncertainty is None else labelled.uncertainty.volunteers
    both = labelled.predicted, labelled.votes
    thresholds = [
        learn_threshold(tree, question, *both, config.target, config.risk, volunteers)
        for question in questions
    ]
    for threshold in thresholds:
        say(threshold.in_words())
    output = storage.absolute(config.output)
    snapshot = open_snapshot(config.catalogue, tree)
    with progress("Splitting", snapshot.all_rows) as advance:
        counts, subjects = write_lists(snapshot, output, tree, thresholds, config.subjects, advance)
    pictured = write_subjects(output, storage.absolute(config.catalogue), subjects)
    people, rows = counts["people"], snapshot.rows
    settled, left = (sum(counts[f"{t.question}_{end}"] for t in thresholds) for end in ("settled", "people"))
    share = f"{settled / max(settled + left, 1):.1%}"
    say(
        f"{settled:,} of {settled + left:,} answers are settled ({share}), which saves volunteers "
        f"{settled * config.votes_each:,} of {(settled + left) * config.votes_each:,} answers. "
        f"{rows - people:,} of {rows:,} galaxies are settled in every question that applies to them; "
        f"{people:,} are for people"
    )
    if len(subjects) > pictured:
        say(f"{len(subjects) - pictured:,} of the {len(subjects):,} subjects have no cutout to show")
    page = write_document(
        output,
        "Triage",
        f"{share} of the answers are settled. {rows - people:,} of {rows:,} galaxies are settled in every "
        f"question that applies to them; {people:,} are for people.",
        triage_sections(tree, *both, thresholds, counts, volunteers),
        facts=[
            (share, "of the answers settled"),
            (f"{settled * config.votes_each:,}", "answers that volunteers needn’t give"),
            (f"{people:,}", "galaxies for people"),
            (f"{config.target:.0%}", "accuracy promised"),
            (f"{len(labelled):,}", "labelled galaxies"),
            *judged.facts,
        ],
        caveat=judged.told,
    )
    say(f"For people: {storage.join(output, 'worklist.parquet')}, {storage.join(output, 'subjects')}")
    say(f"Settled:    {storage.join(output, 'settled.parquet')}")
    say(f"Report:     {page}")


def _questions(tree: DecisionTree, keys: tuple[str, ...]) -> list[Question]:
    by_key = {question.key: question for question in tree.questions}
    for key in keys:
        if key not in by_key:
            raise InputError(f"questions={key!r} is none of tree {tree.name!r}; it has {', '.join(by_key)}")
    return [by_key[key] for key in keys or by_key]
