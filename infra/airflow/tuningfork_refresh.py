"""A catalogue brought up to date each night, then recounted: a DAG of Apache Airflow 3.

Put this file among your DAGs. `tuningfork` and the file of settings must be there where tasks run. What is to
be computed is computed there, or, with `address`, on the Ray cluster whose dashboard that is.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PROGRAM = os.environ.get("TUNINGFORK_PROGRAM", "tuningfork")
"""The command, where Airflow's workers don't find it by its name."""

REFRESH = [
    "{% if params.address %}submit{% endif %}",
    "refresh",
    "--config={{ params.config }}",
    "{% if params.address %}--address={{ params.address }}{% endif %}",
]


class Verb(BaseOperator):
    """Runs a verb of Tuningfork; a status that another try wouldn't better fails the task at once.

    Parameters
    ----------
    words
        What follows `tuningfork`; templates, and what is empty is left out.
    final
        Exit statuses after which no other try is made.
    """

    template_fields = ("words",)

    def __init__(self, *, words: list[str], final: tuple[int, ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.words, self.final = words, final

    @cached_property
    def _hook(self) -> SubprocessHook:
        return SubprocessHook()

    def execute(self, context: Any) -> None:
        """Run it, its output in the task's log."""
        words = [word for word in self.words if word]
        result = self._hook.run_command([PROGRAM, *words], cwd=os.getcwd())
        if result.exit_code in self.final:
            raise AirflowFailException(f"status {result.exit_code}: {result.output}")
        if result.exit_code != 0:
            raise AirflowException(f"status {result.exit_code}: {result.output}")

    def on_kill(self) -> None:
        """Tell it to end: it gives back what it holds, and the next run continues."""
        self._hook.send_sigterm()


with DAG(
    "tuningfork_refresh",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
    params={
        "config": Param("/etc/tuningfork/job.yaml", type="string", description="Settings of refresh."),
        "output": Param("s3://survey/morphology", type="string", description="The output that they name."),
        "address": Param(None, type=["null", "string"], description="Of Ray: http://HOST:8265."),
    },
    doc_md=__doc__,
):
    # Final: bad input, and an output that someone else holds; of verify, a finding.
    refresh = Verb(task_id="refresh", words=REFRESH, final=(2, 3))
    verify = Verb(task_id="verify", words=["verify", "{{ params.output }}"], final=(1,))
    refresh >> verify
