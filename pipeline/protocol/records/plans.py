"""The plans of an output, in its store."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from pipeline import storage
from pipeline.errors import InputError
from pipeline.protocol.adoption import CreatePlan, IsFinished, PartsRemoved, ReadPlans
from pipeline.protocol.layout import RunLayout, runs_folder
from pipeline.protocol.plan import Plan, newest_first
from pipeline.protocol.steps import Handlers


def read_plans(output: str) -> list[Plan]:
    """Read the plans of all runs of an output, newest first.

    A run's folder may be a link to where it was moved.

    Raises
    ------
    InputError
        If a plan can't be read.
    """
    plans = []
    for file in storage.list_files(runs_folder(output), "/plan.json", through_links=True):
        try:
            plans.append(Plan.model_validate_json(storage.read_bytes(file.uri)))
        except ValidationError as error:
            raise InputError(
                f"{file.uri} is not a plan of this version: {error.errors()[0]['msg']}; use another output"
            ) from error
    return newest_first(plans)


def plan_handlers(output: str, is_finished: Callable[[Plan], bool]) -> Handlers:
    """What carries out the instructions of `pipeline.protocol.adoption`.

    Parameters
    ----------
    is_finished
        See `IsFinished`.
    """

    def create(instruction: CreatePlan) -> bool:
        plan = instruction.plan
        return storage.create(RunLayout(output, plan.run).plan, plan.model_dump_json(indent=1).encode())

    return {
        ReadPlans: lambda _: read_plans(output),
        CreatePlan: create,
        PartsRemoved: lambda instruction: storage.exists(
            RunLayout(output, instruction.plan.run).parts_removed
        ),
        IsFinished: lambda instruction: is_finished(instruction.plan),
    }
