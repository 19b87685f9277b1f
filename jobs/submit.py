"""Submit: a verb as a job of a Ray cluster, by the Ray Jobs API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from ray.job_submission import JobStatus, JobSubmissionClient

from jobs.ending import Interrupted
from pipeline import storage
from pipeline.config import CONFIGS, load_config
from pipeline.console import say
from pipeline.digest import digest
from pipeline.errors import InputError, RunError, redacted
from pipeline.numerics import code_digest

ROOT = CONFIGS.parent
TRAVELS = ("pipeline", "jobs", "configs")
"""What of the project a job needs; data never travels with it."""

PASSED_ON = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)
"""Variables that say where a store is. Credentials aren't passed on: everyone who sees the dashboard sees a
job's environment; the cluster has its own."""

SETTINGS = "submitted.yaml"

_NO_AGENT, _AGENT_SECONDS = "No available agent", 120
"""What a dashboard answers while the head's agent isn't up, and how long that is waited for."""


def config_model(verb: str) -> type[BaseModel]:
    """The settings that a verb takes.

    Raises
    ------
    InputError
        If it is no verb that can be submitted.
    """
    from jobs.classify import ClassifyConfig
    from pipeline.run.settings import StreamConfig
    from pipeline.training.weights import TrainConfig

    models: dict[str, type[BaseModel]] = {
        "classify": ClassifyConfig,
        "refresh": StreamConfig,
        "train": TrainConfig,
    }
    if verb not in models:
        raise InputError(f"submit takes one of {', '.join(models)}; it was given {verb!r}")
    return models[verb]


def run(verb: str, words: Sequence[str], file: Path | None, address: str, wait: bool = True) -> int:
    """Submit a job and follow its log to its end; one that already runs is followed instead.

    Parameters
    ----------
    verb, words, file
        As the verb itself takes them; the file travels with the job.
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
    values = settings_for_cluster(load_config(config_model(verb), file, words))
    client = _client(address)
    address = redacted(address)
    base = f"tuningfork-{verb}-{digest(verb, values, code_digest())[:12]}"
    job = _running(client, base)
    if job is None:
        job = _free_name(client, base)
        with _working_dir(values) as folder:
            _submit(
                client,
                entrypoint=f"python -m jobs.cli {verb} --config {SETTINGS}",
                submission_id=job,
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": {name: os.environ[name] for name in PASSED_ON if name in os.environ},
                },
            )
        say(f"Job {job} submitted to {address}")
    else:
        say(f"Job {job} is running already")
    if not wait:
        say(f"Follow it with: ray job logs --follow --address {address} {job}")
        return 0
    try:
        asyncio.run(_follow(client, job))
    except Interrupted:
        say(f"Job {job} goes on; stop it with: ray job stop --address {address} {job}")
        raise
    return _exit_status(client, job)


def settings_for_cluster(config: BaseModel) -> dict[str, Any]:
    """The settings that were given, with paths that hold on another machine.

    Files under the project's own ``configs/`` travel with the job. Any other local path is made absolute:
    right where the cluster shares this machine's file system, and an error of the job elsewhere.
    """

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, str) or "://" in value or not ("/" in value or Path(value).exists()):
            return value
        path = Path(storage.absolute(value))
        return str(path.relative_to(ROOT)) if path.is_relative_to(CONFIGS) else str(path)

    given = config.model_dump(mode="json", exclude_unset=True)
    return {key: moved(value) for key, value in given.items()}


def _client(address: str) -> JobSubmissionClient:
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"no Ray cluster takes jobs at {address} ({reason}); expected its dashboard's address, such as "
            "http://HOST:8265, and the token in RAY_AUTH_TOKEN if it asks for one"
        ) from error


def _running(client: JobSubmissionClient, base: str) -> str | None:
    for info in client.list_jobs():
        name = info.submission_id or ""
        if _is_named(name, base) and not info.status.is_terminal():
            return name
    return None


def _free_name(client: JobSubmissionClient, base: str) -> str:
    earlier = sum(_is_named(info.submission_id or "", base) for info in client.list_jobs())
    return base if not earlier else f"{base}-{earlier + 1}"


def _is_named(name: str, base: str) -> bool:
    return name == base or (name.startswith(f"{base}-") and name[len(base) + 1 :].isdecimal())


@contextlib.contextmanager
def _working_dir(values: dict[str, Any]) -> Iterator[Path]:
    """What travels: the project's code and configuration, and the job's settings."""
    with tempfile.TemporaryDirectory(prefix="tuningfork-") as folder:
        for name in TRAVELS:
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        Path(folder, SETTINGS).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        yield Path(folder)


def _submit(client: JobSubmissionClient, **job: Any) -> None:
    """Give a job to the cluster, which takes none in its first seconds."""
    until = time.monotonic() + _AGENT_SECONDS
    while True:
        try:
            client.submit_job(**job)
            return
        except RuntimeError as error:
            if _NO_AGENT not in str(error) or time.monotonic() > until:
                reason = " ".join(str(error).split())[:300]
                raise RunError(
                    f"the cluster didn't take job {job['submission_id']}: {reason}; look at the head's "
                    "logs/dashboard_agent.log, then run the command again"
                ) from error
        time.sleep(2)


async def _follow(client: JobSubmissionClient, job: str) -> None:
    """Print the job's log until the job has ended; a connection that breaks is made again."""
    printed = 0
    while True:
        seen = 0
        async for text in client.tail_job_logs(job):
            seen += len(text)
            if seen > printed:
                sys.stdout.write(text[max(0, len(text) - (seen - printed)) :])
                sys.stdout.flush()
                printed = seen
        if client.get_job_status(job).is_terminal():
            return
        await asyncio.sleep(1)


def _exit_status(client: JobSubmissionClient, job: str) -> int:
    info = client.get_job_info(job)
    if info.status == JobStatus.SUCCEEDED:
        return 0
    if info.status == JobStatus.FAILED and info.driver_exit_code:
        return int(info.driver_exit_code)
    reason = " ".join((info.message or "").split())[:300]
    raise RunError(f"job {job} ended as {info.status}: {reason}; the same command continues its run")
