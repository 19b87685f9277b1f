"""Submit: a verb as a job of a Ray cluster, by the Ray Jobs API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jobs.ending import Interrupted
from jobs.job_settings import load_settings, settings_for_cluster
from pipeline import lineage
from pipeline.config import CONFIGS, PROJECT
from pipeline.console import say
from pipeline.digest import digest
from pipeline.errors import redacted
from pipeline.logs import LOG
from pipeline.numerics import code_digest
from pipeline.streaming.ray_jobs import exit_status, follow, free_name, job_client, running_job, submit
from pipeline.tracking import EXPERIMENT, TRACKING

TRAVELS = ("pipeline", "jobs", *(["configs"] if CONFIGS.parent == PROJECT else []))
"""What of the project a job needs, whether that is a checkout or installed; data never travels with it."""

PASSED_ON = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
    LOG,
    TRACKING,
    EXPERIMENT,
    lineage.URL,
    lineage.NAMESPACE,
)
"""Variables that say where a store, MLflow and OpenLineage are, and how to log. Credentials aren't passed on,
nor is a URI that holds any: all who see the dashboard see a job's environment; the cluster has its own."""

SETTINGS = "submitted.yaml"


def run(verb: str, overrides: Sequence[str], file: str | None, address: str, wait: bool = True) -> int:
    """Submit a job and follow its log to its end; one that already runs is followed instead.

    Parameters
    ----------
    verb, overrides, file
        As the verb itself takes them; the settings of the file travel with the job.
    address
        Of the cluster's dashboard, ``http://HOST:8265``.
    wait
        Whether to stay until the job ends.

    Returns
    -------
    int
        The verb's exit status; 0 without `wait`.

    Raises
    ------
    InputError
        If the settings are wrong, a path of them means nothing on a cluster, or no cluster answers.
    RunError
        If the job was stopped, or never started.
    """
    values = settings_for_cluster(load_settings(verb, overrides, file))
    client = job_client(address)
    address = redacted(address)
    base = f"tuningfork-{verb}-{digest(verb, values, code_digest())[:12]}"
    job = running_job(client, base)
    if job is None:
        job = free_name(client, base)
        with _working_dir(values) as folder:
            submit(
                client,
                entrypoint=f"python -m jobs.cli {verb} --config {SETTINGS}",
                submission_id=job,
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": passed_on(os.environ),
                },
            )
        say(f"Job {job} submitted to {address}")
    else:
        say(f"Job {job} is running already")
    if not wait:
        say(f"Follow it with: ray job logs --follow --address {address} {job}")
        return 0
    try:
        asyncio.run(follow(client, job))
    except Interrupted:
        say(f"Job {job} goes on; stop it with: ray job stop --address {address} {job}")
        raise
    return exit_status(client, job)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the environment a job gets."""
    values = {name: environment[name] for name in PASSED_ON if name in environment}
    return {name: value for name, value in values.items() if redacted(value) == value}


@contextlib.contextmanager
def _working_dir(values: dict[str, Any]) -> Iterator[Path]:
    """What travels: the project's code and configuration, and the job's settings."""
    with tempfile.TemporaryDirectory(prefix="tuningfork-") as folder:
        for name in TRAVELS:
            shutil.copytree(PROJECT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        Path(folder, SETTINGS).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        yield Path(folder)
