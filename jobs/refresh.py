"""Refresh: bring a catalogue up to date with its source, classifying only what is new or has changed."""

from __future__ import annotations

from pipeline.console import say
from pipeline.protocol import Plan, catalogue_uri, report_uri
from pipeline.protocol.records import read_summary
from pipeline.protocol.run import refresh
from pipeline.run.call import SurveyCall, restore_report
from pipeline.run.planning import plan_refresh
from pipeline.run.run import prepare
from pipeline.run.settings import StreamConfig, titled_as_before


def run(config: StreamConfig) -> None:
    """Bring the catalogue of an output up to date; run again, it continues, or says that nothing changed.

    Raises
    ------
    InputError
        If the input, the weights or the tree can't be used.
    HeldError
        If another run works on the output.
    """
    prepared = prepare(titled_as_before(config))

    def report_changes(plan: Plan) -> None:
        # What draws takes seconds to load: only a run that committed pays for it.
        from pipeline.run import changes

        changes.report_changes(prepared, plan)

    call = SurveyCall(
        "refresh",
        prepared,
        lambda instruction: plan_refresh(prepared, instruction.base),
        report_changes,
    )
    output = prepared.config.output
    outcome = call.perform(refresh(output))
    if outcome.status == "unchanged":
        restore_report(prepared, read_summary(output, outcome.plan))
    say(f"Catalogue: {catalogue_uri(output)}")
    say(f"Report:    {report_uri(output)}")
