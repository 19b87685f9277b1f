"""The files of a finished run under verification, against its seal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from pydantic import ValidationError

from pipeline import storage
from pipeline.catalogue.files import recorded_digest
from pipeline.catalogue.log import actions, rows_changed_by, version_of_entry
from pipeline.catalogue.seal import LEDGER, entry_digests, file_digest, ledger_digest, relative
from pipeline.protocol.layout import RunLayout, catalogue_uri, report_uri
from pipeline.protocol.records.summary import RunSummary, summarize
from pipeline.upkeep.verify.files import AFRESH, Damaged, Finding, Run, reading

_LOG = "/_delta_log/"

_AGAIN = "run the same command again"


def read_sealed(layout: RunLayout) -> RunSummary | None:
    """The summary of a run; None if it has none yet.

    Raises
    ------
    Damaged
        If it isn't as it was written.
    """
    uri = layout.summary
    if not storage.exists(uri):
        return None
    with reading():
        data = storage.read_bytes(uri)
    try:
        summary = RunSummary.model_validate_json(data)
    except ValidationError as error:
        raise Damaged(f"{uri}: expected a summary, found {error.errors()[0]['msg']}") from error
    written = summary.model_dump_json(indent=1, exclude_unset=True).encode()
    if summary.files is not None and (summary.with_checksum() != summary or written != data):
        raise Damaged(f"{uri}: expected the summary as it was written, found another: its checksum differs")
    return summary


def is_sealed(layout: RunLayout) -> bool:
    """Whether a run is sealed; one that an earlier version of this program finished isn't."""
    try:
        summary = read_sealed(layout)
    except Damaged:
        return True
    return summary is None or summary.files is not None


def check_summary(run: Run, files: Sequence[str], newest: int) -> Iterator[Finding]:
    """Check the run's summary against its ledger, and all files that it seals.

    Parameters
    ----------
    files
        URIs of the data files of the snapshot.
    newest
        Number of the newest version.
    """
    layout = run.layout
    try:
        summary = read_sealed(layout)
    except Damaged as error:
        yield Finding("summary", str(error), AFRESH)
        return
    if summary is None:
        problem = f"{layout.summary} is missing: the run was stopped after its commit, before its report"
        yield Finding("summary", problem, _AGAIN)
        return
    expected = summarize(run.plan, run.ledger, summary.seconds)
    for name in ("run", "rows", "classified", "quarantined"):
        values = getattr(expected, name), getattr(summary, name)
        if run.complete and values[0] != values[1]:
            problem = f"{layout.summary}: expected {name} {values[0]} as in the ledger, found {values[1]}"
            yield Finding("summary", problem, AFRESH)
    if summary.files is None:
        if any(map(recorded_digest, files)):
            problem = "expected a seal, for the data files bear digests in their names, found none"
            yield Finding("summary", f"{layout.summary}: {problem}", AFRESH)
        return
    current = {relative(layout.output, file) for file in files}
    other = {place for place in summary.files if _is_data(layout, place)} ^ current
    if other:
        problem = "expected the data files that the run committed, found a difference"
        uri = catalogue_uri(layout.output)
        yield Finding("catalogue", f"{uri}: {problem} in {min(other)}", AFRESH)
    here = {place for place in current if recorded_digest(place) is None} | {
        relative(layout.output, report_uri(layout.output))
    }
    yield from _check_files(layout, summary.files, run.entries, here)
    versions = [version_of_entry(place) for place in summary.files if _LOG in place]
    own = [version for version in versions if version is not None]
    if own:
        yield from _check_later_versions(layout.output, max(own), newest)


def check_earlier(layout: RunLayout) -> Iterator[Finding]:
    """Check the files that an earlier run sealed; a later one has superseded its rows.

    Passed over are the report, which is the later run's, and data files that are gone: `vacuum` removes them.
    """
    try:
        summary = read_sealed(layout)
    except Damaged as error:
        yield Finding("summary", str(error), AFRESH)
        return
    if summary is not None and summary.files is not None:
        data = {place for place in summary.files if _is_data(layout, place)}
        present = {
            relative(layout.output, file.uri) for file in storage.list_files(catalogue_uri(layout.output))
        }
        yield from _check_files(layout, summary.files, entry_digests(layout), data & present)


def _check_files(
    layout: RunLayout, sealed: Mapping[str, str], entries: Mapping[str, str], here: Set[str]
) -> Iterator[Finding]:
    """Check that sealed files are as the seal says.

    A version whose entry is gone is no finding where there is a checkpoint: the Delta library removes what is
    older, and no snapshot needs it.

    Parameters
    ----------
    entries
        sha256 of the files of the ledger, by name.
    here
        Which of data files and report are to be checked.
    """
    log = storage.list_files(storage.join(catalogue_uri(layout.output), "_delta_log"))
    versions = {storage.name(file.uri) for file in log}
    report = report_uri(layout.output)
    for place, digest in sealed.items():
        uri = storage.join(layout.output, place)
        if place.endswith(f"/{LEDGER}"):
            if ledger_digest(entries) != digest:
                problem = "expected the entries as they were when the run ended, found others"
                yield Finding("ledger", f"{layout.ledger}: {problem}", AFRESH)
        elif _LOG in place and "_last_checkpoint" in versions and storage.name(place) not in versions:
            continue
        elif place in here or not (_is_data(layout, place) or uri == report):
            about = "catalogue" if _LOG in place else place
            advice = f"remove it and {_AGAIN}" if uri == report else AFRESH
            yield from _check_file(about, uri, digest, advice)


def _is_data(layout: RunLayout, place: str) -> bool:
    """Whether a sealed file is one of the catalogue's data files."""
    inside = relative(layout.output, catalogue_uri(layout.output)) + "/"
    return place.startswith(inside) and _LOG not in place


def _check_file(about: str, uri: str, digest: str, advice: str) -> Iterator[Finding]:
    try:
        with reading():
            actual = file_digest(uri)
    except Damaged as error:
        yield Finding(about, str(error), advice)
        return
    if actual != digest:
        problem = f"{uri}: expected sha256 {digest[:12]}… as sealed in the summary, found {actual[:12]}…"
        yield Finding(about, problem, advice)


def _check_later_versions(output: str, own: int, newest: int) -> Iterator[Finding]:
    """The versions after that of the run whose rows the snapshot holds: none of them may change a row."""
    log = storage.join(catalogue_uri(output), "_delta_log")
    for file in storage.list_files(log, ".json"):
        version = version_of_entry(file.uri)
        if version is None or not own < version <= newest:
            continue
        try:
            other = rows_changed_by(actions(file.uri))
        except ValueError as error:
            problem = f"{file.uri}: expected lines of JSON, found {error}"
            yield Finding("catalogue", problem, AFRESH)
            continue
        if other:
            problem = f"{file.uri}: expected a version that changes no row, found {other[0]}"
            yield Finding("catalogue", problem, AFRESH)
