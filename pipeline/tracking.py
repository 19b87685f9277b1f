"""MLflow's record of trainings and runs, where ``MLFLOW_TRACKING_URI`` says where it is kept."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import storage
from pipeline.digest import digest
from pipeline.errors import redacted
from pipeline.services import Service

TRACKING = "MLFLOW_TRACKING_URI"
EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"

_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's own, unless the environment says else: it would wait for minutes, report home and print."""

_RECORD = "mlflow.json"
"""In a training's folder: which of MLflow's runs it is, so that one that goes on goes on there."""

_LONGEST, _AT_ONCE = 500, 500

MLFLOW = Service(f"MLflow ({TRACKING})", "mlflow", lambda: bool(os.environ.get(TRACKING)))


@contextlib.contextmanager
def recorded_training(folder: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Record a training as it begins, or goes on, and as it ends.

    Parameters
    ----------
    folder
        URI of the training's folder; one that goes on there goes on in the same run of MLflow's.
    parameters
        By which it is done; what is nested gets names with dots.

    Yields
    ------
    dict
        To be filled with what the training came to; numbers of it become metrics.
    """
    _begin(folder, parameters)
    results: dict[str, Any] = {}
    try:
        yield results
    except BaseException as error:
        _end(folder, "FAILED" if isinstance(error, Exception) else "KILLED", {})
        raise
    _end(folder, "FINISHED", results)


@MLFLOW.best_effort
def record_rows(folder: str, rows: Sequence[Mapping[str, float]]) -> None:
    """Record a training's log as far as it isn't yet.

    Parameters
    ----------
    folder
        URI of the training's folder.
    rows
        All so far, each with ``seen``, the step, and ``time``, in seconds since 1970.
    """
    from mlflow.entities import Metric

    client, run = _client(), _run_of(folder)
    if run is None:
        return
    last = max((metric.step for metric in client.get_metric_history(run, "loss")), default=-1)
    metrics = [
        Metric(name, float(value), int(1000 * row["time"]), int(row["seen"]))
        for row in rows
        if row["seen"] > last
        for name, value in row.items()
        if name not in ("seen", "time")
    ]
    for start in range(0, len(metrics), _AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + _AT_ONCE])


@MLFLOW.best_effort
def record_end(folder: str, results: Mapping[str, Any]) -> None:
    """Record the results of a training that was stopped before it could record them.

    Parameters
    ----------
    folder, results
        See `recorded_training`.
    """
    client, run = _client(), _run_of(folder)
    if run is not None and client.get_run(run).info.status != "FINISHED":
        _finish(client, run, "FINISHED", results)


@MLFLOW.best_effort
def record_run(
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    seconds: float,
) -> None:
    """Record a run over a survey that has just ended.

    Parameters
    ----------
    seconds
        How long it took.
    """
    started = int(1000 * (time.time() - seconds))
    client, run = _new_run(name, parameters, tags, started)
    for key, value in metrics.items():
        client.log_metric(run, key, value)
    client.set_terminated(run)


@MLFLOW.best_effort
def _begin(folder: str, parameters: Mapping[str, Any]) -> None:
    run = _run_of(folder)
    if run is not None:
        _client().update_run(run, status="RUNNING")
        return
    name = storage.name(folder).removesuffix(".run")
    _, run = _new_run(name, parameters, {"folder": folder}, int(1000 * time.time()))
    record = {"at": _whereabouts(), "run": run}
    storage.write_bytes(storage.join(folder, _RECORD), json.dumps(record).encode())


@MLFLOW.best_effort
def _end(folder: str, status: str, results: Mapping[str, Any]) -> None:
    client, run = _client(), _run_of(folder)
    if run is not None:
        _finish(client, run, status, results)


def _finish(client: Any, run: str, status: str, results: Mapping[str, Any]) -> None:
    for name, value in results.items():
        if isinstance(value, int | float):
            client.log_metric(run, name, value)
    client.set_terminated(run, status)


def _run_of(folder: str) -> str | None:
    """MLflow's name for the run of a training; None if it isn't recorded there."""
    uri = storage.join(folder, _RECORD)
    if not storage.exists(uri):
        return None
    record = json.loads(storage.read_bytes(uri))
    return str(record["run"]) if record["at"] == _whereabouts() else None


def _whereabouts() -> str:
    """Which MLflow it is; its URI may hold a password."""
    return digest(os.environ[TRACKING])[:16]


def _client() -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(os.environ[TRACKING])


def _new_run(
    name: str, parameters: Mapping[str, Any], tags: Mapping[str, str], started: int
) -> tuple[Any, str]:
    from mlflow.entities import Param, RunTag

    client, experiment = _client(), os.environ.get(EXPERIMENT, "tuningfork")
    existing = client.get_experiment_by_name(experiment)
    number = client.create_experiment(experiment) if existing is None else existing.experiment_id
    run = str(client.create_run(number, started, run_name=name).info.run_id)
    params = [Param(key, _short(value)) for key, value in _flat(parameters)]
    # A hundred at a time is what MLflow takes.
    for start in range(0, len(params), 100):
        client.log_batch(run, params=params[start : start + 100])
    client.log_batch(run, tags=[RunTag(key, _short(value)) for key, value in tags.items()])
    return client, run


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _short(value: Any) -> str:
    return redacted(str(value))[:_LONGEST]
