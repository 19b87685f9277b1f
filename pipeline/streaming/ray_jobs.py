"""Jobs of a Ray cluster, by the Ray Jobs API."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from pipeline.errors import InputError, RunError

_NO_AGENT, _AGENT_SECONDS = "No available agent", 120
"""What a dashboard answers while the head's agent isn't up, and how long that is waited for."""

_MISSING_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)


def job_client(address: str) -> JobSubmissionClient:
    """A client that talks to a cluster's dashboard.

    Raises
    ------
    InputError
        If none answers, or it asks for a token that isn't here.
    """
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise InputError(
            f"the Ray cluster at {address} takes jobs only with its token: set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN to the token or RAY_AUTH_TOKEN_PATH to a file that holds it"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"no Ray cluster takes jobs at {address} ({reason}); expected its dashboard's address, such as "
            "http://HOST:8265, and the token in RAY_AUTH_TOKEN if it asks for one"
        ) from error


def running_job(client: JobSubmissionClient, base: str) -> str | None:
    """The job of a name, or of one that only adds a number, that hasn't ended; None if there is none."""
    for info in client.list_jobs():
        name = info.submission_id or ""
        if _is_named(name, base) and not info.status.is_terminal():
            return name
    return None


def free_name(client: JobSubmissionClient, base: str) -> str:
    """A name that no job had, with a number where the plain one is taken."""
    earlier = sum(_is_named(info.submission_id or "", base) for info in client.list_jobs())
    return base if not earlier else f"{base}-{earlier + 1}"


def _is_named(name: str, base: str) -> bool:
    return name == base or (name.startswith(f"{base}-") and name[len(base) + 1 :].isdecimal())


def submit(client: JobSubmissionClient, **job: Any) -> None:
    """Give a job to the cluster, which takes none in its first seconds.

    Raises
    ------
    RunError
        If it isn't taken.
    """
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


async def follow(client: JobSubmissionClient, job: str) -> None:
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


def exit_status(client: JobSubmissionClient, job: str) -> int:
    """How a job's driver ended.

    Raises
    ------
    RunError
        If the job was stopped, its driver never ran, or the cluster's Python lacks what it imports.
    """
    info = client.get_job_info(job)
    if info.status == JobStatus.SUCCEEDED:
        return 0
    missing = _MISSING_MODULE.search(client.get_job_logs(job))
    if missing:
        raise RunError(
            f"the cluster's Python has no module {missing[1]!r}, and only the project's own code travels "
            "with a job. Start the nodes from the project's image, or where its wheel is installed"
        )
    if info.status == JobStatus.FAILED and info.driver_exit_code:
        return int(info.driver_exit_code)
    reason = " ".join((info.message or "").split())[:300]
    raise RunError(f"job {job} ended as {info.status}: {reason}; the same command continues its run")
