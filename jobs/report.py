"""The report of a run: gathers what the report room draws."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import version

import pyarrow as pa

from pipeline import storage
from pipeline.catalogue import RunSummary, catalogue_dataset, catalogue_uri, report_uri
from pipeline.network import Card
from pipeline.report import RunCounts, RunFacts, choose_galaxies, render_report
from pipeline.survey import CUTOUT_SCHEMA, read_field, read_rows
from pipeline.tree import DecisionTree

_SAMPLE_ROWS = 200_000
_LIBRARIES = ("tuningfork", "ray", "torch", "deltalake", "pyarrow")


def write_report(
    output: str,
    survey: str,
    tree: DecisionTree,
    card: Card,
    title: str,
    transforms: int,
    summary: RunSummary,
    most: int,
) -> None:
    """Write ``report.html`` for the catalogue of an output.

    Parameters
    ----------
    survey
        The cutout set that was classified.
    most
        Most galaxies shown one by one.
    """
    catalogue = _sample(output, tree)
    shown = choose_galaxies(tree, catalogue, most)
    facts = RunFacts(
        title=title,
        run=summary.run,
        input=survey,
        weights=card.sha256,
        network=card.network.name,
        transforms=transforms,
        counts=RunCounts(summary.classified, summary.quarantined),
        seconds=0.0 if summary.resumed else summary.seconds,
        started=summary.started,
        versions={library: version(library) for library in _LIBRARIES},
        limits=card.not_good_for,
    )
    page = render_report(tree, shown, catalogue, _cutouts(shown), facts, read_field(survey))
    storage.write_bytes(report_uri(output), page.encode())


def _sample(output: str, tree: DecisionTree) -> pa.Table:
    """The catalogue, or every k-th row of it where it is too large to draw from whole."""
    dataset = catalogue_dataset(catalogue_uri(output), tree)
    stride = max(1, -(-dataset.count_rows() // _SAMPLE_ROWS))
    batches, offset = [], 0
    for batch in dataset.to_batches():
        chosen = range((-offset) % stride, len(batch), stride)
        batches.append(batch.take(pa.array(chosen, pa.int64())) if stride > 1 else batch)
        offset += len(batch)
    return pa.Table.from_batches(batches, schema=dataset.schema)


def _cutouts(shown: pa.Table) -> pa.Table:
    """The cutouts of the rows shown, read where the catalogue says that they were."""
    rows = defaultdict(list)
    for place in shown["input"].to_pylist():
        shard, _, row = place.rpartition("#")
        rows[shard].append(int(row))
    tables = [read_rows(shard, row, row + 1) for shard, found in rows.items() for row in sorted(found)]
    return pa.concat_tables(tables) if tables else CUTOUT_SCHEMA.empty_table()
