"""Steps of a run by themselves, on an output that nobody else works on: no lease is taken."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.catalogue.commit import commit_handlers, is_finished
from pipeline.catalogue.refresh import ReadIds
from pipeline.catalogue.table import table_handlers
from pipeline.protocol.adoption import adopt
from pipeline.protocol.commit import commit
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.lease import ConfirmLease
from pipeline.protocol.ledger import Ledger
from pipeline.protocol.plan import Plan
from pipeline.protocol.records.plans import plan_handlers
from pipeline.protocol.run import DrawPlan, Outcome, try_out
from pipeline.protocol.steps import perform
from pipeline.tree import DecisionTree


def adopt_plan(
    output: str, plan: Plan, new_run: bool = False, is_finished: Callable[[Plan], bool] = lambda plan: True
) -> Plan:
    """Write the plan of a new run, or find the run that it continues."""
    handlers = {**plan_handlers(output, is_finished), **table_handlers(output), ConfirmLease: lambda _: None}
    return perform(adopt(plan, output, 0, new_run), handlers)


def try_out_plan(output: str, plan: Plan) -> Outcome:
    """What a call of `classify` would do about a plan."""
    handlers = {**plan_handlers(output, lambda plan: is_finished(output, plan)), **table_handlers(output)}
    return perform(try_out(output), {**handlers, DrawPlan: lambda _: plan})


def commit_run(
    layout: RunLayout,
    tree: DecisionTree,
    plan: Plan,
    ledger: Ledger,
    epoch: int,
    read_ids: ReadIds | None = None,
) -> None:
    """Commit a run whose units are all done."""
    handlers = {**commit_handlers(layout.output, tree, read_ids), ConfirmLease: lambda _: None}
    perform(commit(plan, ledger, epoch), handlers)
