"""Verify: recount an output from its files, and say what isn't as it must be."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import storage
from pipeline.catalogue import tree_digest
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.digest import digest
from pipeline.errors import InputError, RunError
from pipeline.places import TablePlace, TreeFile
from pipeline.protocol import Plan, RunLayout
from pipeline.run.cutouts import plans_of, reader_of_output
from pipeline.survey import load_survey
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree
from pipeline.upkeep import Finding, Recount, verify_output
from pipeline.upkeep.verify.verdict import verdict


class VerifyConfig(StrictModel):
    """What `tuningfork verify` takes.

    Attributes
    ----------
    output
        The output of `classify`.
    tree
        The decision tree whose answers the catalogue holds.
    """

    output: TablePlace
    tree: TreeFile = str(GALAXY_ZOO_2)


def run(config: VerifyConfig) -> int:
    """Print one line for each finding, then the verdict.

    Returns
    -------
    int
        Exit status: 0 clean, 1 with findings.

    Raises
    ------
    InputError
        If `output` is no output of `classify`, its runs answered another tree, or a store can't be read.
    """
    try:
        return _verify(config)
    except RunError as error:  # whose status, 1, would be taken for findings
        raise InputError(str(error)) from error


def _verify(config: VerifyConfig) -> int:
    plans = plans_of(config.output)
    tree = load_tree(config.tree)
    _check_tree(config, tree, plans)
    recount, findings = Recount(), 0
    for finding in _findings(config.output, plans, tree, recount):
        findings += 1
        say(f"FINDING {finding}")
    say(f"verify: {verdict(recount, findings)}")
    return 1 if findings else 0


def _findings(output: str, plans: list[Plan], tree: DecisionTree, recount: Recount) -> Iterator[Finding]:
    torn = list(_torn_surveys(output, plans))
    if torn:
        yield from torn
        return
    source_of = reader_of_output(output)
    yield from verify_output(
        output,
        tree,
        lambda shard: source_of(shard).read_ids(shard),
        recount,
        lambda shard: source_of(shard).describe(shard),
    )


def _torn_surveys(output: str, plans: list[Plan]) -> Iterator[Finding]:
    """Survey files of runs that can be read and not understood."""
    for plan in plans:
        place = RunLayout(output, plan.run).survey
        if not storage.exists(place):
            continue
        storage.read_bytes(place)  # what a store raises is no finding
        try:
            load_survey(place)
        except InputError as error:
            yield Finding("survey file", str(error), "restore it: without it the inputs can't be read")


def _check_tree(config: VerifyConfig, tree: DecisionTree, plans: list[Plan]) -> None:
    """Check that the tree is that of the latest run, unless its plan was edited, which is a finding."""
    if not plans or digest(plans[0].fingerprint)[:12] != plans[0].run.partition("-")[0]:
        return
    own = tree_digest(tree)
    if plans[0].fingerprint.get("tree", own) != own:
        raise InputError(
            f"{config.output}: run {plans[0].run} answered another decision tree than {config.tree}; "
            "name the one it was given as tree=FILE"
        )
