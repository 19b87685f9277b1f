"""Refresh: bring a catalogue up to date with its source, classifying only what is new or has changed."""

from __future__ import annotations

import sys

from jobs.classify import (
    StreamConfig,
    carry_out,
    is_finished,
    plan_shards,
    settings_of,
    settled,
    source_of,
)
from jobs.console import say
from pipeline.catalogue import (
    Known,
    Plan,
    RunLayout,
    adopt_plan,
    catalogue_dataset,
    catalogue_uri,
    changed_settings,
    hold_lease,
    last_committed,
    last_epoch,
    make_plan,
    report_uri,
    same_source,
    select_rows,
)
from pipeline.catalogue.changes import is_readable, version_of
from pipeline.catalogue.export import open_snapshot
from pipeline.network import Model, check_model
from pipeline.survey import Source, read_contents
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
    with hold_lease(config.output, "refresh", last_epoch(config.output)) as lease:
        plan = plan_refresh(config, tree, model, source)
        if plan is None:
            return
        plan = adopt_plan(
            config.output, plan, new_run=True, is_finished=lambda earlier: is_finished(config.output, earlier)
        )
        lease.confirm()
        carry_out(
            config, tree, model, plan, lease, source, lambda plan: report_changes(config, tree, plan, source)
        )
    say(f"Catalogue: {catalogue_uri(config.output)}")
    say(f"Report:    {report_uri(config.output)}")


def report_changes(config: StreamConfig, tree: DecisionTree, plan: Plan, source: Source) -> None:
    """Tell what a committed run made of the snapshot before it, where there is one."""
    # What draws takes seconds to load: only a run that committed pays for it.
    from jobs.compare import told, write_changes

    uri, version = catalogue_uri(config.output), version_of(config.output, plan)
    if plan.base is None or not version:
        return
    before = open_snapshot(uri, tree, as_of=str(version - 1))
    if not is_readable(before):
        say(f"Version {version - 1} of {uri} was vacuumed: no report of what run {plan.run} changed")
        return
    after = open_snapshot(uri, tree, as_of=str(version))
    changes, page = write_changes(
        RunLayout(config.output, plan.run).changes,
        f"{config.title}: what run {plan.run} changed",
        tree,
        before,
        after,
        lambda shard: source,
        config.report_galaxies,
    )
    say(f"Changes:   {told(changes)}; {page}")


def plan_refresh(config: StreamConfig, tree: DecisionTree, model: Model, source: Source) -> Plan | None:
    """What is to be done, said in a line; None if that is nothing."""
    shards, settings = plan_shards(config, source), settings_of(config, tree, model, source)
    every = make_plan(shards, config.unit_rows, settings)
    base = last_committed(config.output)
    if base is None:
        say(f"{config.output} has no catalogue yet: all {every.rows:,} galaxies are new")
        return every
    changed = changed_settings(base, every.fingerprint)
    if changed:
        say(f"Since run {base.run} other {', '.join(changed)}: all {every.rows:,} galaxies are to be done")
        return make_plan(shards, config.unit_rows, settings, base.run)
    if same_source(shards, base):
        if not is_finished(config.output, base):
            return base
        say(f"Nothing changed since run {base.run}: {every.rows:,} galaxies in {len(shards):,} shards")
        return None
    known = Known(catalogue_dataset(catalogue_uri(config.output), tree).to_batches(list(Known.COLUMNS)))
    shards, gone = select_rows(
        shards, base, known, lambda shard: read_contents(source, shard.uri, shard.rows)
    )
    plan = make_plan(shards, config.unit_rows, settings, base.run)
    say(
        f"Since run {base.run}: {plan.selected_rows:,} of {plan.rows:,} galaxies are new or have changed, "
        f"{gone:,} are gone"
    )
    return plan


if __name__ == "__main__":
    from jobs.cli import main

    main(["refresh", *sys.argv[1:]])
