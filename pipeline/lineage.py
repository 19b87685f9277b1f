"""OpenLineage's events of trainings and runs, where that library's own settings say who gets them.

References
----------
OpenLineage 2.0.2, https://openlineage.io/spec/2-0-2/OpenLineage.json, and its naming of datasets,
https://openlineage.io/docs/spec/naming.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pipeline
from pipeline.errors import redacted
from pipeline.services import Service

URL, CONFIG, NAMESPACE = "OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE_NAMESPACE"

_FILES = ("openlineage.yml", "~/.openlineage/openlineage.yml")
_OWN_REPOSITORY = "OPENLINEAGE__FACETS__SOURCE_CODE_LOCATION__DISABLED"
"""Setting of the library's, which takes the repository that the command happens to run in for the job's."""

_SECONDS = 10.0
"""Most that an event may take: the library itself tries for half a minute."""

_LONGEST_ERROR = 2000

logging.getLogger("openlineage").addHandler(logging.NullHandler())  # what ends badly is said here, and once


def _is_set_up() -> bool:
    """Whether the library would find out to whom events go; it would print them if not."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    given = [name for name, value in os.environ.items() if value]
    named = any(name in (URL, CONFIG) or name.startswith("OPENLINEAGE__TRANSPORT") for name in given)
    return named or any(os.path.isfile(os.path.expanduser(file)) for file in _FILES)


OPENLINEAGE = Service(f"OpenLineage ({URL}, or openlineage.yml)", "lineage", _is_set_up)


@dataclass(frozen=True)
class Dataset:
    """Something that is read or written.

    Attributes
    ----------
    version
        Of a catalogue its snapshot's, of weights their hash; None if it has none.
    rows
        How many were written.
    """

    uri: str
    version: str | None = None
    rows: int | None = None


@contextlib.contextmanager
def traced(verb: str, output: str, reads: Sequence[Dataset]) -> Iterator[list[Dataset]]:
    """Send OpenLineage's events of a job: its start and, as the block ends, how it ended.

    Parameters
    ----------
    verb, output
        By which the job is known: the same again is another run of it.

    Yields
    ------
    list of Dataset
        To be filled with what was written.
    """
    send = functools.partial(_send_event, str(uuid.uuid4()), f"{verb}:{redacted(output)}", reads)
    written: list[Dataset] = []
    try:
        send("START")
        yield written
    except BaseException as error:
        send("FAIL" if isinstance(error, Exception) else "ABORT", error=error)
        raise
    send("COMPLETE", written)


@OPENLINEAGE.best_effort
def _send_event(
    run: str,
    job: str,
    reads: Sequence[Dataset],
    state: str,
    written: Sequence[Dataset] = (),
    error: BaseException | None = None,
) -> None:
    from openlineage.client import event_v2, facet_v2

    facets: dict[str, Any] = {
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            version=pipeline.__version__, name="tuningfork"
        )
    }
    if error is not None:
        message = redacted(f"{type(error).__name__}: {error}".removesuffix(": "))[:_LONGEST_ERROR]
        facets["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(message, "Python")
    event = event_v2.RunEvent(
        eventType=event_v2.RunState[state],
        eventTime=datetime.now(UTC).isoformat(),
        run=event_v2.Run(run, facets),
        job=event_v2.Job(os.environ.get(NAMESPACE, "tuningfork"), job),
        inputs=[event_v2.InputDataset(*_name(one.uri), facets=_facets(one)) for one in reads],
        outputs=[
            event_v2.OutputDataset(*_name(one.uri), facets=_facets(one), outputFacets=_counts(one))
            for one in written
        ],
        producer=f"urn:tuningfork:{pipeline.__version__}",
    )
    _in_time(functools.partial(_emit, event))


def _emit(event: Any) -> None:
    from openlineage.client import OpenLineageClient

    _check_settings()
    os.environ.setdefault(_OWN_REPOSITORY, "true")
    client = OpenLineageClient()
    if not client.config.transport:
        raise ValueError("no transport is set up; expected one in openlineage.yml, or a URL")
    client.emit(event)
    if not client.close(_SECONDS):
        raise TimeoutError(f"events weren't taken within {_SECONDS:g} s")


def _check_settings() -> None:
    """Refuse an address or a key that can't be one, without telling it as the library does."""
    if not _is_address(os.environ.get(URL) or "http://unset"):
        raise ValueError(f"{URL} is no address; expected one such as http://marquez:5000")
    for name, value in os.environ.items():
        is_key = name.startswith("OPENLINEAGE") and name.endswith(("API_KEY", "APIKEY"))
        if is_key and value.split() not in ([], [value]):
            raise ValueError(f"{name} holds a space or the end of a line; give the key alone")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # by the port
        return False


def _in_time(call: Callable[[], None]) -> None:
    """Wait for a call for so long and no longer; one that hangs is left behind, and ends with the process."""
    outcome: Future[None] = Future()

    def carry_out() -> None:
        try:
            call()
            outcome.set_result(None)
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            outcome.set_exception(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"the event wasn't taken within {_SECONDS:g} s")
    outcome.result()


def _name(uri: str) -> tuple[str, str]:
    """Namespace and name of a dataset; a path's namespace is ``file``, an object's its bucket."""
    scheme, found, rest = redacted(uri).rpartition("://")
    if not found or scheme == "file":
        return "file", rest
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path or "/"


def _facets(dataset: Dataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    if dataset.version is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)}


def _counts(dataset: Dataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    if dataset.rows is None:
        return {}
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=dataset.rows)
    return {"outputStatistics": statistics}
