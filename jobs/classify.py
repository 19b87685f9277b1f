"""Classify: from a cutout shard set to a catalogue and its report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from jobs.console import say
from jobs.places import Output, TablePlace
from pipeline import storage
from pipeline.averaging import Precision, fastest_precision
from pipeline.catalogue import tree_digest
from pipeline.config import StrictModel
from pipeline.cutouts import ShardInfo, duplicate_rows
from pipeline.network import DEFAULT_WEIGHTS, Model, check_model
from pipeline.protocol import Plan, PlannedShard, catalogue_uri, digest, make_plan, report_uri
from pipeline.protocol.records import read_summary
from pipeline.protocol.run import DrawPlan, classify
from pipeline.streaming.first_rows import check_survey
from pipeline.streaming.reading import Reader, open_inventory
from pipeline.survey import Inventory, load_survey, recognise
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree

if TYPE_CHECKING:
    from pipeline.streaming import StreamResources, StreamSettings


class SurveyConfig(StrictModel):
    """What every verb takes that looks at a whole survey.

    Attributes
    ----------
    input
        A cutout shard set, or with `survey` cutouts as a survey has them: folder, prefix or file (any fsspec
        URI).
    output
        Where the results go (any fsspec URI).
    survey
        A survey file, which says how the cutouts are kept (see ``configs/surveys``).
    weights, tree
        A network's weight file or an ensemble (``NAME.ensemble.json``), and the decision tree it answers.
    precision
        Of the network. ``auto`` is bfloat16 where this machine computes faster in it, which moves an answer
        by less than 0.002; float32 elsewhere.
    unit_rows
        Most galaxies in a work unit: what is in memory at a time, and what is lost when a machine dies.
    decode_actors, model_actors, model_threads
        Derived from the cluster where not given.
    device
        ``auto`` takes GPUs where the cluster has any or can add some; ``gpu`` demands them, ``cpu`` leaves
        them alone.
    node_wait
        Seconds that a run waits for nodes where the cluster's autoscaler has none up.
    """

    input: str
    output: Output
    survey: str | None = None
    weights: str = DEFAULT_WEIGHTS
    tree: str = str(GALAXY_ZOO_2)
    precision: Literal["auto"] | Precision = "auto"
    unit_rows: int = Field(default=256, gt=0, le=4096)
    decode_actors: int | None = Field(default=None, gt=0)
    model_actors: int | None = Field(default=None, gt=0)
    model_threads: int | None = Field(default=None, gt=0)
    device: Literal["auto", "cpu", "gpu"] = "auto"
    node_wait: float = Field(default=900, ge=0)


class StreamConfig(SurveyConfig):
    """What `tuningfork classify` and `tuningfork refresh` take beside that.

    Attributes
    ----------
    title
        Heads the report.
    transforms
        60 for the mean over sixty transforms, which is taken in float32 always; 1 for the view as it is.
    report_galaxies
        Most galaxies that the report shows one by one.
    """

    output: TablePlace
    title: str = "Galaxy morphology"
    transforms: Literal[60, 1] = 60
    report_galaxies: int = Field(default=400, gt=0)


class ClassifyConfig(StreamConfig):
    """What `tuningfork classify` takes beside that.

    Attributes
    ----------
    new_run
        Start afresh although `output` holds a run made from something else.
    rate
        Galaxies a second of one model actor, by which ``--dry-run`` estimates; measured here if not given.
    """

    new_run: bool = False
    rate: float | None = Field(default=None, gt=0)


Config = TypeVar("Config", bound=SurveyConfig)


def run(config: ClassifyConfig, dry_run: bool = False) -> None:
    """Classify a cutout set; run again, it continues where it was, or says that it is complete.

    Raises
    ------
    InputError
        If the input, the weights or the tree can't be used, or the output holds another run.
    """
    from jobs.survey_run import SurveyRun, counts_of

    config = settled(config)
    tree = load_tree(config.tree)
    model = check_model(config.weights, tree)
    source = source_of(config)

    def draw_plan(_: DrawPlan) -> Plan:
        settings = settings_of(config, tree, model, source)
        return make_plan(plan_shards(config, source), config.unit_rows, settings)

    if dry_run:
        _estimate(config, tree, draw_plan(DrawPlan()))
        return
    call = SurveyRun(config, tree, model, source, draw_plan)
    outcome = call.perform(classify(config.output, config.new_run))
    if outcome.how == "complete":
        summary = read_summary(config.output, outcome.plan)
        say(f"Run {outcome.plan.run} is complete: {counts_of(summary)}. Nothing to do.")
        if not storage.exists(report_uri(config.output)):
            call.write_report(summary)
    say(f"Catalogue: {catalogue_uri(config.output)}")
    say(f"Report:    {report_uri(config.output)}")


def settled(config: Config) -> Config:
    """The configuration with what depends on where it was given: absolute paths, and the precision."""
    # Workers have working directories of their own.
    places = {key: storage.absolute(getattr(config, key)) for key in ("input", "output", "weights", "tree")}
    precision = fastest_precision() if config.precision == "auto" else config.precision
    return config.model_copy(update=places | {"precision": precision})


def source_of(config: SurveyConfig) -> Inventory:
    """Where the cutouts come from."""
    if config.survey is None:
        return open_inventory()
    survey = load_survey(config.survey)
    if survey.table is not None:
        survey = survey.model_copy(update={"table": storage.absolute(survey.table)})
    reader = Reader()
    return open_inventory(recognise(survey, config.input, reader.holds_bands), reader)


def plan_shards(config: SurveyConfig, source: Inventory) -> list[PlannedShard]:
    """The input as it is now."""
    shards = source.list_shards(config.input)
    check_survey(source, shards)
    return repetitions(source, shards)


def repetitions(source: Inventory, shards: Sequence[ShardInfo]) -> list[PlannedShard]:
    """Shards with their rows that repeat an earlier one."""
    duplicates = duplicate_rows(storage.read_ahead(lambda shard: source.read_ids(shard.uri), shards))
    return [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows, duplicates=rows)
        for shard, rows in zip(shards, duplicates, strict=True)
    ]


def settings_of(config: StreamConfig, tree: DecisionTree, model: Model, source: Inventory) -> dict[str, str]:
    """What beside the input and the numerics decides the answers, for the fingerprint of a run."""
    return {
        "weights": model.sha256,
        "tree": tree_digest(tree),
        "transforms": str(config.transforms),
        "precision": config.precision,
        "survey": "none" if source.survey is None else digest(source.survey.model_dump(mode="json")),
    }


def _estimate(config: ClassifyConfig, tree: DecisionTree, plan: Plan) -> None:
    """Say what a run would do and cost; write nothing."""
    from jobs.bench.timing import device, device_name, model_rate

    megabytes = sum(shard.size for shard in plan.shards) / 1e6
    what = f"{plan.rows:,} galaxies in {len(plan.shards):,} shards ({megabytes:,.1f} MB)"
    say(f"{what}, {plan.unit_count:,} units")
    rate, source, unit = config.rate, "as given", "actor-hours"
    if rate is None:
        precision: Precision = "bfloat16" if config.precision == "bfloat16" else "float32"
        rate = model_rate(config.weights, tree, config.transforms, precision, config.model_threads)
        source = f"measured on this machine, {device_name()}, {precision}"
        unit = "GPU-hours" if device() == "cuda" else "machine-hours"
    actors = config.model_actors or 1
    hours = plan.rows / rate / 3600
    say(
        f"At {rate:,.1f} galaxies/s for each model actor ({source}): {_amount(hours)} {unit} in all, "
        f"{_amount(hours / actors)} hours with model_actors={actors}; a minute for the start comes on top"
    )
    say(f"Run {plan.run} would write {catalogue_uri(config.output)}; nothing was written")


def _amount(hours: float) -> str:
    return f"{hours:,.3g}" if hours < 100 else f"{hours:,.0f}"


def stream_settings(
    config: SurveyConfig, model: Model, source: Inventory, index: str, transforms: int
) -> StreamSettings:
    """What the stages of the stream are to do; `index` is where the source's was saved."""
    from pipeline.streaming import StreamSettings

    return StreamSettings(
        config.weights,
        model.sha256,
        config.tree,
        transforms,
        config.precision,
        model.recentrings,
        source.survey,
        index,
    )


def start_ray(config: SurveyConfig) -> StreamResources:
    """Connect to Ray, wait for nodes where there are none, and divide what there is among the actors."""
    from pipeline.streaming import connect, plan_resources, secure_nodes

    connect()
    secure_nodes(config.device, config.model_actors, config.node_wait, say)
    return plan_resources(config.decode_actors, config.model_actors, config.model_threads, config.device)


if __name__ == "__main__":
    from jobs.cli import main

    main(["classify", *sys.argv[1:]])
