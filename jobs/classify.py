"""Classify: from a cutout shard set to a catalogue and its report."""

from __future__ import annotations

from pydantic import Field

from pipeline.amounts import megabytes
from pipeline.averaging import fastest_precision
from pipeline.console import say
from pipeline.protocol import Plan, catalogue_uri, report_uri
from pipeline.protocol.records import read_summary
from pipeline.protocol.run import classify, try_out
from pipeline.run.call import SurveyCall, counts_of, restore_report
from pipeline.run.planning import plan_everything
from pipeline.run.run import Run, prepare
from pipeline.run.settings import StreamConfig


class ClassifyConfig(StreamConfig):
    """What `tuningfork classify` takes beside what `refresh` takes too.

    Attributes
    ----------
    new_run
        Start again from nothing, although `output` holds a run with other input or settings.
    rate
        Galaxies a second of one model actor, from which ``--dry-run`` estimates the time; measured on this
        machine if not given.
    """

    new_run: bool = False
    rate: float | None = Field(default=None, gt=0)


def run(config: ClassifyConfig, dry_run: bool = False) -> None:
    """Classify a cutout set; run again, it continues where it was, or says that it is complete.

    Raises
    ------
    InputError
        If the input, the weights or the tree can't be used, or the output holds another run.
    """
    prepared = prepare(config, wait=not dry_run)
    output = prepared.config.output
    call = SurveyCall("classify", prepared, lambda _: plan_everything(prepared))
    outcome = call.perform((try_out if dry_run else classify)(output, config.new_run))
    if outcome.how == "due":
        _estimate(prepared, outcome.plan)
        return
    if outcome.how == "complete":
        summary = read_summary(output, outcome.plan)
        say(f"Run {outcome.plan.run} is complete: {counts_of(summary)}. Nothing to do.")
        if dry_run:
            return
        restore_report(prepared, summary)
    say(f"Catalogue: {catalogue_uri(output)}")
    say(f"Report:    {report_uri(output)}")


def _estimate(prepared: Run[ClassifyConfig], plan: Plan) -> None:
    """Say what a run would do and cost; write nothing."""
    config = prepared.config
    from jobs.bench.timing import device, device_name, model_rate

    size = megabytes(sum(shard.size for shard in plan.shards))
    what = f"{plan.rows:,} galaxies in {len(plan.shards):,} shards ({size})"
    say(f"{what}, {plan.unit_count:,} units")
    rate, source, unit = config.rate, "as given", "actor-hours"
    if rate is None:
        on = "cpu" if config.device == "cpu" else device()
        as_planned = on == "cuda" or config.device == "cpu"
        precision = prepared.precision if as_planned else fastest_precision("cpu")
        rate = model_rate(
            config.weights, prepared.tree, config.transforms, precision, on, config.model_threads
        )
        source = f"measured on this machine, {device_name(on)}, {precision}"
        unit = "GPU-hours" if on == "cuda" else "machine-hours"
    actors = config.model_actors or 1
    hours = plan.rows / rate / 3600
    say(
        f"At {rate:,.1f} galaxies/s for each model actor ({source}): {_amount(hours)} {unit} in all, "
        f"{_amount(hours / actors)} hours with model_actors={actors}, and a minute to start"
    )
    say(f"Run {plan.run} would write {catalogue_uri(config.output)}; nothing was written")


def _amount(hours: float) -> str:
    return f"{hours:,.3g}" if hours < 100 else f"{hours:,.0f}"
