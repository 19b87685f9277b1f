"""The files of a finished run under verification, against its seal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from pipeline import storage
from pipeline.catalogue.commit import RunSummary, summarize
from pipeline.catalogue.seal import LEDGER, file_digest, ledger_digest, relative
from pipeline.catalogue.verify_files import AFRESH, Damaged, Finding, Run, reading
from pipeline.protocol.layout import RunLayout, catalogue_uri, report_uri
from pipeline.protocol.plan import Plan

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


def check_summary(run: Run, files: Sequence[str]) -> Iterator[Finding]:
    """The run's summary against its ledger, and all that it seals.

    Parameters
    ----------
    files
        URIs of the data files of the run's version of the catalogue.
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
    if summary.files is not None:
        yield from _check_files(run, summary.files, files)


def _check_files(run: Run, sealed: dict[str, str], files: Sequence[str]) -> Iterator[Finding]:
    layout, output = run.layout, run.layout.output
    inside = relative(output, catalogue_uri(output)) + "/"
    data = {place for place in sealed if place.startswith(inside) and _LOG not in place}
    other = data ^ {relative(output, file) for file in files}
    if other:
        problem = "expected the data files that the run committed, found a difference"
        yield Finding("catalogue", f"{catalogue_uri(output)}: {problem} in {min(other)}", AFRESH)
    for place, digest in sealed.items():
        if place in data or _LOG in place:
            continue
        uri = storage.join(output, place)
        if place.endswith(f"/{LEDGER}"):
            if ledger_digest(run.entries) != digest:
                problem = "expected the entries as they were when the run ended, found others"
                yield Finding("ledger", f"{layout.ledger}: {problem}", AFRESH)
            continue
        advice = f"remove it and {_AGAIN}" if uri == report_uri(output) else AFRESH
        yield from _check_file(place, uri, digest, advice)


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


def check_logs(output: str, plans: Sequence[Plan]) -> Iterator[Finding]:
    """The log of the table, as far as the summaries of committed runs seal it.

    A version whose entry is gone is no finding where there is a checkpoint: the Delta library removes what is
    older, and no snapshot needs it.
    """
    log = storage.join(catalogue_uri(output), "_delta_log")
    present = {storage.name(file.uri) for file in storage.list_files(log)}
    for plan in plans:
        try:
            summary = read_sealed(RunLayout(output, plan.run))
        except Damaged:  # told with the run, if it is one that is verified
            continue
        for place, digest in ((summary and summary.files) or {}).items():
            if _LOG not in place or ("_last_checkpoint" in present and storage.name(place) not in present):
                continue
            yield from _check_file("catalogue", storage.join(output, place), digest, AFRESH)
