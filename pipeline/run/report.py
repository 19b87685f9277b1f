"""The report of a run: gathers what the report room draws."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.catalogue import catalogue_dataset
from pipeline.evaluation.overview import read_catalogue
from pipeline.protocol import RunLayout, catalogue_uri, report_uri
from pipeline.protocol.records import RunSummary, read_quarantine
from pipeline.report import RunCounts, RunFacts, render_report
from pipeline.run.cutouts import read_cutouts
from pipeline.run.run import Run
from pipeline.run.settings import StreamConfig
from pipeline.survey import field_of
from pipeline.tree import DecisionTree

_PIECE_ROWS = 65_536
_LIBRARIES = ("ray", "torch", "deltalake", "pyarrow")


def write_report(run: Run[StreamConfig], summary: RunSummary) -> None:
    """Write ``report.html`` for the catalogue of an output, with the facts of the run that ended."""
    config, source = run.config, run.source
    counts, shown = read_catalogue(run.tree, _pieces(config.output, run.tree), config.report_galaxies)
    classified = int(sum(counts.classes))
    rejects = read_quarantine(RunLayout(config.output, summary.run))
    in_one_call = summary.classified == classified and not summary.resumed
    facts = RunFacts(
        title=config.title,
        run=summary.run,
        input=config.input,
        weights=run.model.sha256,
        network=run.model.name,
        transforms=config.transforms,
        counts=RunCounts(classified, Counter(rejects["reason"].to_pylist())),
        seconds=summary.seconds if in_one_call else 0.0,
        started=summary.started,
        versions=_versions(),
        limits=run.model.not_good_for,
    )
    cutouts = read_cutouts(shown["input"].to_pylist(), lambda shard: source)
    usual_frames = None if run.confidence is None else run.confidence.familiarity.usual_frames
    field = field_of(source, config.input)
    page = render_report(run.tree, counts, shown, cutouts, facts, field, usual_frames)
    storage.write_bytes(report_uri(config.output), page.encode())


def _versions() -> dict[str, str]:
    versions = {library: version(library) for library in _LIBRARIES}
    # The project itself isn't installed where it came as a job's working directory.
    with contextlib.suppress(PackageNotFoundError):
        versions = {"tuningfork": version("tuningfork")} | versions
    return versions


def _pieces(output: str, tree: DecisionTree) -> Iterator[pa.Table]:
    """The catalogue's current rows, in pieces of bounded size."""
    dataset = catalogue_dataset(catalogue_uri(output), tree)
    yield dataset.schema.empty_table()
    current = pc.field("stale").is_null()
    for batch in dataset.to_batches(
        filter=current, batch_size=_PIECE_ROWS, batch_readahead=2, fragment_readahead=1
    ):
        yield pa.Table.from_batches([batch])
