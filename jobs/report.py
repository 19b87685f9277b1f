"""The report of a run: gathers what the report room draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc

from jobs.cutouts import read_cutouts
from pipeline import storage
from pipeline.catalogue import catalogue_dataset
from pipeline.cutouts import read_field
from pipeline.evaluation.overview import read_catalogue
from pipeline.network import Model
from pipeline.protocol import catalogue_uri, report_uri
from pipeline.protocol.records import RunSummary
from pipeline.report import RunCounts, RunFacts, render_report
from pipeline.streaming.reading import open_inventory
from pipeline.survey import Inventory
from pipeline.tree import DecisionTree

_PIECE_ROWS = 65_536
_LIBRARIES = ("tuningfork", "ray", "torch", "deltalake", "pyarrow")


def write_report(
    output: str,
    survey: str,
    tree: DecisionTree,
    model: Model,
    title: str,
    transforms: int,
    summary: RunSummary,
    quarantined: Mapping[str, int],
    most: int,
    source: Inventory | None = None,
) -> None:
    """Write ``report.html`` for the catalogue of an output.

    Parameters
    ----------
    survey
        The cutout set that was classified.
    quarantined
        Rows of the cutout set that can't be classified, by reason.
    most
        Most galaxies shown one by one.
    source
        What it was read by; None for a cutout shard set.
    """
    counts, shown = read_catalogue(tree, _pieces(output, tree), most)
    classified = int(sum(counts.classes))
    whole = summary.classified == classified and not summary.resumed
    facts = RunFacts(
        title=title,
        run=summary.run,
        input=survey,
        weights=model.sha256,
        network=model.name,
        transforms=transforms,
        counts=RunCounts(classified, quarantined),
        seconds=summary.seconds if whole else 0.0,
        started=summary.started,
        versions={library: version(library) for library in _LIBRARIES},
        limits=model.not_good_for,
    )
    source = source or open_inventory()
    field = read_field(survey) if source.survey is None else None
    page = render_report(
        tree, counts, shown, read_cutouts(shown["input"].to_pylist(), lambda shard: source), facts, field
    )
    storage.write_bytes(report_uri(output), page.encode())


def _pieces(output: str, tree: DecisionTree) -> Iterator[pa.Table]:
    """The catalogue's current rows, in pieces of bounded size."""
    dataset = catalogue_dataset(catalogue_uri(output), tree)
    yield dataset.schema.empty_table()
    current = pc.field("stale").is_null()
    for batch in dataset.to_batches(
        filter=current, batch_size=_PIECE_ROWS, batch_readahead=2, fragment_readahead=1
    ):
        yield pa.Table.from_batches([batch])
