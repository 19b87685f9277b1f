"""Refresh: bring a catalogue up to date with its source, classifying only what is new or has changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.classify import StreamConfig, plan_shards, settings_of, settled, source_of
from jobs.console import say
from jobs.survey_run import SurveyRun, is_finished
from pipeline.catalogue import changed_settings, holds_columns, known_rows, same_source, select_rows
from pipeline.catalogue.changes import is_readable, version_of
from pipeline.catalogue.export import open_snapshot
from pipeline.errors import InputError
from pipeline.network import Model, check_model
from pipeline.protocol import Plan, PlannedShard, RunLayout, catalogue_uri, make_plan, report_uri
from pipeline.protocol.records import read_plans
from pipeline.protocol.run import Base, DrawPlan, refresh
from pipeline.survey import Inventory, read_contents
from pipeline.tree import DecisionTree, load_tree


def run(config: StreamConfig) -> None:
    """Bring the catalogue of an output up to date; run again, it continues, or says that nothing changed.

    Raises
    ------
    InputError
        If the input, the weights or the tree can't be used.
    HeldError
        If another run works on the output.
    """
    config = settled(config)
    tree = load_tree(config.tree)
    model = check_model(config.weights, tree)
    source = source_of(config)

    def draw_plan(instruction: DrawPlan) -> Plan | None:
        return plan_refresh(config, tree, model, source, instruction.base)

    call = SurveyRun(
        config, tree, model, source, draw_plan, lambda plan: report_changes(config, tree, plan, source)
    )
    outcome = call.perform(refresh(config.output))
    if outcome.how == "done":
        say(f"Catalogue: {catalogue_uri(config.output)}")
        say(f"Report:    {report_uri(config.output)}")


def report_changes(config: StreamConfig, tree: DecisionTree, plan: Plan, source: Inventory) -> None:
    """Tell what a committed run made of the version that it kept rows of, where there is one."""
    # What draws takes seconds to load: only a run that committed pays for it.
    from jobs.compare import told, write_changes

    uri, version = catalogue_uri(config.output), version_of(config.output, plan)
    if plan.kept is None or version is None:
        return
    try:
        before = open_snapshot(uri, tree, as_of=str(plan.kept))
        after = open_snapshot(uri, tree, as_of=str(version))
        if not is_readable(before):
            say(f"Version {plan.kept} of {uri} was vacuumed: no report of what run {plan.run} changed")
            return
        changes, page = write_changes(
            RunLayout(config.output, plan.run).changes,
            f"{config.title}: what run {plan.run} changed",
            tree,
            before,
            after,
            lambda shard: source,
            config.report_galaxies,
        )
    except InputError as error:  # another program may have written the version before, or the log forgot it
        say(f"No report of what run {plan.run} changed: {error}")
        return
    say(f"Changes:   {told(changes)}; {page}")


def plan_refresh(
    config: StreamConfig, tree: DecisionTree, model: Model, source: Inventory, base: Base | None
) -> Plan | None:
    """What is to be done, said in a line; None if that is nothing."""
    shards, settings = plan_shards(config, source), settings_of(config, tree, model, source)
    every = make_plan(shards, config.unit_rows, settings)
    if base is None:
        say(f"{config.output} has no catalogue yet: all {every.rows:,} galaxies are new")
        return every
    if not holds_columns(config.output, tree, base.version):
        say(f"The catalogue answers another decision tree: all {every.rows:,} galaxies are to be done")
        return every
    relied_on: Sequence[PlannedShard] = ()
    alike = None
    if base.plan is None:
        say(
            f"Version {base.version} of the catalogue was written by something else than a run, such as a "
            "restore: its rows are compared with the whole input"
        )
        plans = read_plans(config.output)
        alike = [plan.run for plan in plans if not changed_settings(plan, every.fingerprint)]
    else:
        changed = changed_settings(base.plan, every.fingerprint)
        if changed:
            other = ", ".join(changed)
            say(f"Since run {base.plan.run} other {other}: all {every.rows:,} galaxies are to be done")
            return make_plan(shards, config.unit_rows, settings, base.plan.run, base.version)
        if same_source(shards, base.plan):
            if not is_finished(config.output, base.plan):
                return base.plan
            count = f"{every.rows:,} galaxies in {len(shards):,} shards"
            say(f"Nothing changed since run {base.plan.run}: {count}")
            return None
        relied_on = base.plan.shards
    shards, gone = select_rows(
        shards,
        relied_on,
        known_rows(config.output, tree, base, alike),
        lambda shard: read_contents(source, shard.uri, shard.rows),
    )
    plan = make_plan(
        shards, config.unit_rows, settings, None if base.plan is None else base.plan.run, base.version
    )
    since = f"version {base.version}" if base.plan is None else f"run {base.plan.run}"
    say(
        f"Since {since}: {plan.selected_rows:,} of {plan.rows:,} galaxies are new or have changed, "
        f"{gone:,} are gone"
    )
    return plan


if __name__ == "__main__":
    from jobs.cli import main

    main(["refresh", *sys.argv[1:]])
