"""Verify: recount an output from its files, and say what isn't as it must be."""

from __future__ import annotations

from jobs.console import say
from jobs.cutouts import plans_of, sources_of
from jobs.places import TablePlace
from pipeline.catalogue import Recount, tree_digest, verify_output
from pipeline.config import StrictModel
from pipeline.errors import InputError, StorageTrouble
from pipeline.survey import open_source
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

    output: TablePlace
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
    recount, findings, sources = Recount(), 0, sources_of(config.output)
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
    plans = plans_of(config.output)
    own = tree_digest(tree)
    if plans and plans[-1].fingerprint.get("tree", own) != own:
        raise InputError(
            f"{config.output}: run {plans[-1].run} answered another decision tree than {config.tree}; "
            "name the one it was given as tree=FILE"
        )
