"""The seal of a run: what every file that it leaves must contain, kept in its summary.

The seal of a later run has the digest of the summary before its own. Not sealed are the parts (the ledger has
their digests, and the seal the ledger's), the lease, and what the Delta library writes to open a table faster
(checkpoints), what another process that slept is just writing; and nothing is that comes after the run.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping

from deltalake import DeltaTable

from pipeline import storage
from pipeline.catalogue.delta import load_table, snapshot_files
from pipeline.catalogue.files import recorded_digest
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.layout import RunLayout, catalogue_uri, is_temporary, report_uri
from pipeline.protocol.records.plans import read_plans
from pipeline.protocol.records.summary import RunSummary

LEDGER = "ledger/"
"""Ends the name under which all entries of a ledger are sealed together."""


def seal(layout: RunLayout, summary: RunSummary) -> RunSummary:
    """The summary of a committed run with the digests of all that the run leaves, and with its own.

    Raises
    ------
    InputError
        If a file can't be read.
    """
    files = dict(_data_files(layout.output)) | dict(_log_files(layout))
    own = [file.uri for file in storage.list_files(layout.folder) if _is_sealed(layout, file.uri)]
    report = report_uri(layout.output)
    uris = [*own, *([report] if storage.exists(report) else []), *_summary_before(layout)]
    digests = storage.read_ahead(file_digest, uris)
    files |= dict(zip((relative(layout.output, uri) for uri in uris), digests, strict=True))
    files[relative(layout.output, layout.ledger) + "/"] = ledger_digest(entry_digests(layout))
    return summary.model_copy(update={"files": dict(sorted(files.items()))}).with_checksum()


def relative(output: str, uri: str) -> str:
    """The path of a file below an output."""
    return storage.absolute(uri).removeprefix(storage.absolute(output).rstrip("/") + "/")


def file_digest(uri: str) -> str:
    """sha256 of a file."""
    return hashlib.sha256(storage.read_bytes(uri)).hexdigest()


def entry_digests(layout: RunLayout) -> dict[str, str]:
    """sha256 of each entry of a ledger, by its name."""
    entries = [file.uri for file in storage.list_files(layout.ledger, ".json")]
    return dict(zip(map(storage.name, entries), storage.read_ahead(file_digest, entries), strict=True))


def ledger_digest(entries: Mapping[str, str]) -> str:
    """sha256 of all entries of a ledger, from the sha256 of each by its name."""
    return digest(sorted(entries.items()))


def _is_sealed(layout: RunLayout, uri: str) -> bool:
    inside = relative(layout.folder, uri)
    if is_temporary(uri):  # of a process that was killed, or sleeps
        return False
    return not inside.startswith(("parts/", LEDGER)) and inside not in ("parts-removed.json", "summary.json")


def _summary_before(layout: RunLayout) -> list[str]:
    """The summary of the latest run before that has one."""
    plans = read_plans(layout.output)
    own = next(plan.sequence for plan in plans if plan.run == layout.run)
    summaries = (RunLayout(layout.output, plan.run).summary for plan in plans if plan.sequence < own)
    return list(itertools.islice(filter(storage.exists, summaries), 1))


def _data_files(output: str) -> Iterator[tuple[str, str]]:
    """The catalogue's data files, each with the sha256 that its name holds."""
    uri = catalogue_uri(output)
    for file in snapshot_files(uri, _table(uri)):
        yield relative(output, file.uri), recorded_digest(file.uri) or file_digest(file.uri)


def _log_files(layout: RunLayout) -> Iterator[tuple[str, str]]:
    """The run's own version of the table, and those before it that no run wrote."""
    uri = catalogue_uri(layout.output)
    for entry in _table(uri).history():
        if entry.get("run") not in (None, layout.run):
            return
        file = storage.join(uri, "_delta_log", f"{entry['version']:020d}.json")
        if storage.exists(file):
            yield relative(layout.output, file), file_digest(file)


def _table(uri: str) -> DeltaTable:
    table = load_table(uri)
    if table is None:
        raise InputError(f"{uri} is gone; expected the catalogue that this run committed to")
    return table
