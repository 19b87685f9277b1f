"""What must hold, whatever happens when; each is looked at when something could break it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.protocol.plan import Plan
from pipeline.protocol.run import Outcome

if TYPE_CHECKING:
    from tests.protocol.delta import Version
    from tests.protocol.world import Process, Row, World

RETENTION = 7 * 86_400.0


class Broken(AssertionError):
    """An invariant doesn't hold."""


def check_version(world: World, process: Process, plan: Plan) -> None:
    """A version that a run wrote holds each galaxy that it planned, once, and by its settings alone."""
    store = world.store
    number, version = len(store.log.versions) - 1, store.log.versions[-1]
    rows = rows_of(world, version)
    twice = [name for name, count in Counter(row.galaxy for row in rows).items() if count > 1]
    if twice:
        raise Broken(f"version {number} by {process.name}: galaxy {twice[0]} twice")
    planned = {galaxy for shard in plan.shards for galaxy in world.source.history[shard.uri, shard.etag]}
    live = {(row.galaxy, row.content) for row in rows if not row.stale}
    if live != planned:
        lost, strange = sorted(planned - live), sorted(live - planned)
        raise Broken(f"version {number} by {process.name}: lost {lost}, and not of the plan {strange}")
    mixed = {row.settings for row in rows if not row.stale} - {plan.fingerprint["weights"]}
    if mixed:
        raise Broken(f"version {number} by {process.name}: rows of other settings {sorted(mixed)}")
    if sum(1 for other in store.log.versions if other.run == plan.run) > 1:
        raise Broken(f"version {number}: run {plan.run} was committed twice")
    for (run, unit), (entry, _) in store.entries.items():
        if run == plan.run and entry.part is not None and entry.part.name not in store.parts:
            raise Broken(f"version {number} by {process.name}: the part of unit {unit} was removed before")
    if number > 0:
        check_order(world, process, plan)


def check_order(world: World, process: Process, plan: Plan) -> None:
    """No version undoes a later run's, and the epochs of the lease never fall along the log."""
    versions = world.store.log.versions
    before = versions[-2]
    if versions[-1].transactions["lease"] < before.transactions.get("lease", 0):
        raise Broken(f"version {len(versions) - 1} by {process.name}: its epoch is older than the one before")
    content = len(versions) - 2
    while content > 0 and not versions[content].changes_rows:
        content -= 1
    if plan.kept not in (None, content):
        raise Broken(
            f"run {plan.run} by {process.name} keeps version {plan.kept} and is written over {content}"
        )
    for version in reversed(versions[:-1]):
        if version.restored:
            return
        if version.run is not None:
            other = world.store.plans[version.run]
            if (other.sequence, other.epoch) > (plan.sequence, plan.epoch):
                raise Broken(f"run {plan.run} by {process.name} undoes the later run {other.run}")
            return


def check_takeover(process: Process, epoch: int) -> None:
    """Who lost the lease before its files were durable doesn't write a version."""
    if process.facts.get("epoch when durable", epoch) > epoch:
        raise Broken(
            f"{process.name} wrote a version though it had lost the lease before its files were durable"
        )


def check_readable(world: World, what: str) -> None:
    """Every version that counts has all of its files.

    Those count that are newest, or were until less than the table's retention time ago.
    """
    versions = world.store.log.versions
    for number, version in enumerate(versions):
        superseded = versions[number + 1].written if number + 1 < len(versions) else world.now
        if world.now - superseded <= RETENTION or number + 1 == len(versions):
            gone = version.files - world.store.files.keys()
            if gone:
                raise Broken(f"{what}: version {number} lacks {sorted(gone)[0]}")


def check_lease(world: World, process: Process, epoch: int) -> None:
    """No two takings of the lease have the same epoch."""
    epochs = world.counts
    epochs[f"epoch {epoch}"] += 1
    if epochs[f"epoch {epoch}"] > 1:
        raise Broken(f"{process.name} took the lease with epoch {epoch}, as another did")


def check_outcome(world: World, process: Process) -> None:
    """Who was told of success has its run in the log."""
    outcome = process.result
    if process.error is None and isinstance(outcome, Outcome):
        written = {version.run for version in world.store.log.versions}
        if outcome.plan.run not in written:
            raise Broken(
                f"{process.name} was told {outcome.status} of run {outcome.plan.run}; no version has it"
            )


def check_end(world: World) -> None:
    """In the end the catalogue holds just what the source does."""
    live = Counter(
        (row.galaxy, row.content) for row in rows_of(world, world.store.log.versions[-1]) if not row.stale
    )
    wanted = Counter(
        galaxy for shard, etag in world.source.shards.items() for galaxy in world.source.history[shard, etag]
    )
    if live != wanted:
        raise Broken(f"in the end: lost {sorted(wanted - live)}, too many {sorted(live - wanted)}")


def rows_of(world: World, version: Version) -> list[Row]:
    """The rows of a version."""
    gone = version.files - world.store.files.keys()
    if gone:
        raise Broken(f"a version lacks {sorted(gone)[0]}")
    return [row for name in version.files for row in world.store.files[name].rows]
