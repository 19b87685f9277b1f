"""Debias: what people, or a network, would say of galaxies if all of them were near."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import Field

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.errors import InputError
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.report.debiasing import debiasing_sections, mean_spread
from pipeline.report.document import write_document
from pipeline.tree import GALAXY_ZOO_2, load_tree
from pipeline.volunteers.debiasing import (
    ASKED,
    LOW_REDSHIFT,
    Correction,
    fit_distributions,
    fit_ratios,
    learn_debiasing,
    physical,
    read_galaxies,
)
from pipeline.volunteers.debiasing.table import (
    ShareTable,
    by_question,
    debiased_batches,
    debiased_schema,
    whole,
)
from pipeline.volunteers.debiasing.trends import trends
from pipeline.volunteers.table import write_table

_METHODS: dict[str, Callable[..., Correction | None]] = {
    "distributions": fit_distributions,
    "ratios": fit_ratios,
}


class DebiasConfig(StrictModel):
    """What `tuningfork debias` takes.

    Attributes
    ----------
    table
        What `tuningfork consensus` wrote, or a catalogue.
    galaxies
        Parquet or CSV file with the galaxies' ids, magnitudes, sizes and redshifts.
    output
        Where the table ``debiased`` and the report go.
    tree
        The decision tree whose answers the table holds.
    method
        ``distributions`` (Hart et al. 2016): each vote fraction keeps its rank among similar galaxies.
        ``ratios`` (Galaxy Zoo 2): vote fractions are multiplied by factors from bins of similar galaxies,
        where a bin has enough of them.
    id
        Column of the galaxies' ids.
    magnitude
        Column of absolute magnitudes.
    size
        Column of half-light radii in kpc.
    redshift
        Column of redshifts.
    apparent
        Whether magnitudes are apparent, and sizes in arcseconds.
    low_redshift
        Redshift at which vote fractions are taken to be unbiased.
    """

    table: TablePlace
    galaxies: str
    output: Output
    tree: TreeFile = str(GALAXY_ZOO_2)
    method: Literal["distributions", "ratios"] = "distributions"
    id: str = "object_id"
    magnitude: str = "magnitude"
    size: str = "size"
    redshift: str = "redshift"
    apparent: bool = False
    low_redshift: float = Field(default=LOW_REDSHIFT, gt=0)


def run(config: DebiasConfig) -> None:
    """Learn the corrections, write the corrected table and the report.

    Raises
    ------
    InputError
        If table, galaxies or tree can't be used, or there are too few galaxies to learn from.
    """
    tree = load_tree(config.tree)
    output = storage.absolute(config.output)
    columns = config.magnitude, config.size, config.redshift, config.id
    ids, galaxies = read_galaxies(storage.absolute(config.galaxies), *columns)
    table = ShareTable(
        storage.absolute(config.table), tree, ids, physical(galaxies) if config.apparent else galaxies
    )
    sample = table.sample()
    votes = None if sample.votes is None else by_question(tree, sample.votes)

    fit = partial(_METHODS[config.method], redshift=config.low_redshift)
    debiasing = learn_debiasing(tree, sample.shares, sample.galaxies, fit, votes)
    learnt = [key for key, correction in debiasing.corrections.items() if correction is not None]
    if not learnt:
        raise InputError(
            f"{config.table} has too few galaxies of known redshift to learn from "
            f"({int(sample.galaxies.complete.sum()):,}); method={config.method} needs some thousand over a "
            "range of redshifts"
        )
    place = storage.join(output, "debiased")
    write_table(place, debiased_schema(tree, table.has_votes), debiased_batches(table, debiasing))
    corrected, done = debiasing.apply(sample.shares, sample.galaxies)
    asked = by_question(tree, whole(tree, corrected)) >= ASKED
    found = trends(tree, sample.galaxies, sample.shares, corrected, done, asked)
    before, after = mean_spread(found)
    say(
        f"Learnt {len(learnt)} of {len(tree.questions)} questions from {len(sample.shares):,} galaxies, of "
        f"which {int(sample.galaxies.complete.sum()):,} have magnitude, size and redshift"
    )
    say(f"Mean shares differ by {before:.3f} between redshifts, and by {after:.3f} when corrected")
    page = write_document(
        output,
        "Debiasing",
        f"Mean shares differ by {before:.3f} between redshifts, averaged over questions, and by {after:.3f} "
        "when corrected for how far galaxies are.",
        debiasing_sections(tree, found, debiasing.learnt_from, done.mean(axis=0).tolist()),
        facts=[
            (f"{before:.3f}", "spread before"),
            (f"{after:.3f}", "spread after"),
            (f"{done.any(axis=1).mean():.1%}", "of the galaxies corrected"),
            (f"{len(learnt)}", f"of {len(tree.questions)} questions learnt"),
        ],
    )
    say(f"Debiased: {place}")
    say(f"Report:   {page}")
