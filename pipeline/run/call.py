"""A call of `classify` or `refresh` on a real store and a real cluster; see `pipeline.protocol.run`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pipeline import storage
from pipeline.catalogue import commit_handlers, is_finished
from pipeline.catalogue.seal import seal
from pipeline.catalogue.table import read_state
from pipeline.config import dump_config
from pipeline.console import progress, say
from pipeline.faults import crash_point
from pipeline.lineage import OPENLINEAGE, Dataset, traced
from pipeline.logs import log_event, log_of_run
from pipeline.protocol import Plan, RunLayout, catalogue_uri, report_uri
from pipeline.protocol.ledger import ReadLedger
from pipeline.protocol.records import (
    LeaseKeeper,
    RunSummary,
    plan_handlers,
    read_ledger,
    summarize,
)
from pipeline.protocol.run import BeginRun, DoUnits, DrawPlan, EndRun, Outcome
from pipeline.protocol.steps import Handlers, Steps, perform
from pipeline.run.resources import check_decoder, start_ray
from pipeline.run.run import Run
from pipeline.run.settings import StreamConfig
from pipeline.streaming.reading import open_inventory
from pipeline.survey import check_identity
from pipeline.tracking import record_run


@dataclass
class SurveyCall:
    """What carries out the instructions of a call.

    Attributes
    ----------
    verb
        Which it is.
    draw_plan
        See `DrawPlan`.
    report_changes
        Tells what a committed run made of the rows that it kept.
    """

    verb: Literal["classify", "refresh"]
    run: Run[StreamConfig]
    draw_plan: Callable[[DrawPlan], Plan | None]
    report_changes: Callable[[Plan], None] = lambda plan: None
    keeper: LeaseKeeper = field(init=False)
    _started: float = 0.0
    _written: list[Dataset] = field(default_factory=list)
    _traced: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        self.keeper = LeaseKeeper(self.run.config.output, "")

    def perform(self, steps: Steps[Outcome]) -> Outcome:
        """Carry out a call to its end."""
        with self._traced:
            return perform(steps, self._handlers)

    @property
    def _handlers(self) -> Handlers:
        output = self.run.config.output
        return {
            **self.keeper.handlers,
            **plan_handlers(output, lambda plan: is_finished(output, plan)),
            **commit_handlers(output, self.run.tree, self.run.source.read_ids, self._check_inputs),
            DrawPlan: self._draw_plan,
            ReadLedger: lambda instruction: read_ledger(self._layout(instruction.plan)),
            BeginRun: self._begin,
            DoUnits: self._do_units,
            EndRun: self._end,
        }

    def _layout(self, plan: Plan) -> RunLayout:
        return RunLayout(self.run.config.output, plan.run)

    def _draw_plan(self, instruction: DrawPlan) -> Plan | None:
        plan = self.draw_plan(instruction)
        self.keeper.run = "refresh" if plan is None else plan.run
        return plan

    def _begin(self, instruction: BeginRun) -> None:
        self._started = time.monotonic()
        plan, layout = instruction.plan, self._layout(instruction.plan)
        log_of_run(plan.run)
        config, weights = self.run.config, Dataset(self.run.config.weights, self.run.model.sha256)
        reads = [Dataset(config.input), weights]
        self._written = self._traced.enter_context(traced(self.verb, config.output, reads))
        storage.write_bytes(storage.join(layout.folder, "config.yaml"), dump_config(self.run.config).encode())
        if self.run.source.survey is not None:
            storage.write_bytes(layout.survey, dump_config(self.run.source.survey).encode())
        if instruction.done:
            say(f"Run {plan.run} continues: {instruction.done:,} of {plan.unit_count:,} units are done")

    def _do_units(self, instruction: DoUnits) -> None:
        # Ray takes seconds to load: only a run that has work pays for it.
        from pipeline.streaming import RunMetrics, stream_units

        plan, pending, config = instruction.plan, instruction.pending, self.run.config
        layout = self._layout(plan)
        self.run.source.save_index(layout.index)
        rows = sum(unit.rows for unit in pending)
        say(f"Starting Ray for {rows:,} galaxies in {len(pending):,} units …")
        resources = start_ray(config)
        check_decoder(self.run.decoder, resources)
        settings = self.run.stream_settings(layout.index, config.transforms)
        units, lease = plan.unit_count, self.keeper.held
        metrics = RunMetrics(plan.run, units, units - len(pending), resources)
        with progress("Classifying", plan.selected_rows, done=plan.selected_rows - rows) as advance:
            for entry in stream_units(pending, layout, settings, resources):
                lease.check()
                metrics.add(entry, lease.age)
                log_event("unit", **entry.model_dump(exclude={"part", "rejects"}))
                advance(entry.rows)
        crash_point("after_ledger")

    def _check_inputs(self, plan: Plan) -> None:
        # The run's own remembers what it listed.
        fresh = open_inventory(self.run.source.survey, output=self.run.config.output)

        def check(shard: tuple[str, int, str]) -> None:
            check_identity(fresh, *shard)

        first, *others = [(shard.uri, shard.size, shard.etag) for shard in plan.shards]
        check(first)
        for _ in storage.read_ahead(check, others):
            pass

    def _end(self, instruction: EndRun) -> None:
        plan, layout = instruction.plan, self._layout(instruction.plan)
        seconds = time.monotonic() - self._started
        summary = summarize(plan, instruction.ledger, seconds, instruction.resumed)
        # What draws takes its time to load: only a run that ends pays for it.
        from pipeline.run.report import write_report

        write_report(self.run, summary)
        crash_point("after_report")
        self.report_changes(plan)
        storage.write_bytes(layout.summary, seal(layout, summary).model_dump_json(indent=1).encode())
        self._record(plan, summary)
        say(f"Run {plan.run}: {counts_of(summary)} in {summary.seconds:,.0f} s")

    def _record(self, plan: Plan, summary: RunSummary) -> None:
        bad = {f"quarantined.{reason}": count for reason, count in summary.quarantined.items()}
        record_run(
            plan.run,
            self.run.config.model_dump(mode="json"),
            {
                "rows": summary.rows,
                "classified": summary.classified,
                "quarantined": sum(summary.quarantined.values()),
                "seconds": summary.seconds,
                "units": plan.unit_count,
                **bad,
            },
            {
                "output": self.run.config.output,
                "weights": self.run.model.title,
                "resumed": str(summary.resumed),
            },
            summary.seconds,
        )
        if OPENLINEAGE.is_active:
            state = read_state(self.run.config.output)
            version = None if state is None else str(state.content)
            rows = summary.classified
            self._written.append(Dataset(catalogue_uri(self.run.config.output), version, rows))


def restore_report(run: Run[StreamConfig], summary: RunSummary) -> None:
    """Write the report of a finished run again, if it is there no more."""
    if not storage.exists(report_uri(run.config.output)):
        from pipeline.run.report import write_report

        write_report(run, summary)


def counts_of(summary: RunSummary) -> str:
    """How many galaxies a run classified and quarantined, in words."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary.quarantined.items())
    bad = sum(summary.quarantined.values())
    counts = f"{summary.classified:,} galaxies classified, {bad:,} quarantined"
    counts += f" ({reasons})" if bad else ""
    if summary.replaced:
        galaxies, pixels = summary.replaced["galaxies"], summary.replaced["pixels"]
        counts += f"; {pixels:,} bad pixels of {galaxies:,} galaxies were replaced"
    return counts
