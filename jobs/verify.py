"""Verify: recount an output from its files, and say what isn't as it must be."""

from __future__ import annotations

from pydantic import ValidationError

from jobs.console import say
from pipeline import storage
from pipeline.catalogue import Plan, Recount, RunLayout, read_plans, tree_digest, verify_output
from pipeline.config import StrictModel
from pipeline.errors import InputError, StorageTrouble
from pipeline.survey import Source, load_survey, open_source
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree


class VerifyConfig(StrictModel):
    """What `tuningfork verify` takes.

    Attributes
    ----------
    output
        What `classify` wrote to.
    tree
        The decision tree whose answers the catalogue holds.
    """

    output: str
    tree: str = str(GALAXY_ZOO_2)


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
    except StorageTrouble as error:  # whose status, 1, would be taken for findings
        raise InputError(str(error)) from error


def _verify(config: VerifyConfig) -> int:
    tree = load_tree(config.tree)
    _check_tree(config, tree)
    recount, findings, sources = Recount(), 0, _sources(config.output)
    plain = open_source()
    for finding in verify_output(
        config.output,
        tree,
        lambda shard: sources.get(shard, plain).read_ids(shard),
        recount,
        lambda shard: sources.get(shard, plain).describe(shard),
    ):
        findings += 1
        say(f"FINDING {finding}")
    say(f"verify: {verdict(recount, findings)}")
    return 1 if findings else 0


def _sources(output: str) -> dict[str, Source]:
    """What reads the input shards of runs that were given a survey file, by the shard's URI."""
    found: dict[str, Source] = {}
    for plan in _plans(output):
        place = RunLayout(output, plan.run).survey
        if storage.exists(place):
            source = open_source(load_survey(place))
            found |= dict.fromkeys((shard.uri for shard in plan.shards), source)
    return found


def _plans(output: str) -> list[Plan]:
    """The plans of an output; none where one is torn, which is a finding of its own."""
    try:
        return read_plans(output)
    except InputError as error:
        if isinstance(error.__cause__, ValidationError):
            return []
        raise


def verdict(recount: Recount, findings: int) -> str:
    """What was found, in one line."""
    if findings:
        found = _count(findings, "finding")
    else:
        found = (
            f"clean: {recount.rows:,} input rows = "
            f"{recount.classified:,} classified + {recount.quarantined:,} quarantined, "
            f"{_count(recount.units, 'unit')}, {_count(recount.files, 'file')}"
        )
        if recount.stale:
            found += f"; {recount.stale:,} stale beside them"
    if recount.parts_removed:
        found += "; the run's parts were removed by `tuningfork vacuum`, so the catalogue stands for itself"
    if recount.orphans:
        megabytes = sum(file.size for file in recount.orphans) / 1e6
        orphans = _count(len(recount.orphans), "orphan")
        found += f"; {orphans}, {megabytes:,.1f} MB: `tuningfork vacuum` removes them"
    return found


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def _check_tree(config: VerifyConfig, tree: DecisionTree) -> None:
    plans = _plans(config.output)
    own = tree_digest(tree)
    if plans and plans[-1].fingerprint.get("tree", own) != own:
        raise InputError(
            f"{config.output}: run {plans[-1].run} answered another decision tree than {config.tree}; "
            "name the one it was given as tree=FILE"
        )
