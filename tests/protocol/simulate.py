"""One history from a seed: drivers, vacuums, refreshes, restores and faults, in an order that chance decides.

``python -m tests.protocol.simulate --seeds 20000`` runs many, and with ``--seed`` tells one in full.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable

from pipeline.errors import HeldError, InputError
from pipeline.protocol import vacuum
from pipeline.protocol.commit import WriteFiles, WriteVersion
from pipeline.protocol.ledger import CreateEntry
from pipeline.protocol.run import Outcome, classify, refresh
from pipeline.protocol.steps import Steps
from tests.protocol import invariants
from tests.protocol.handlers import HANDLERS, WRITES
from tests.protocol.invariants import Broken
from tests.protocol.mutants import MUTANTS
from tests.protocol.world import Process, World

STEPS = 260
NAPS = (WriteFiles, WriteVersion, CreateEntry, vacuum.StoreClock)
NODES = ("one", "two")
KINDS = ("classify", "classify", "new run", "refresh", "refresh")
VACUUMS = (1, 5)
"""How many of what begins beside these are vacuums; one or the other number in a history."""
LEAPS = (5.0, 25.0, 90.0, 7_200.0, 6 * 86_400.0, 9 * 86_400.0)
"""Seconds that may pass at once, while everybody sleeps or is stopped."""


def simulate(seed: int) -> World:
    """One history.

    Raises
    ------
    Broken
        If an invariant doesn't hold, with the history.
    """
    world = World(seed, HANDLERS, WRITES)
    try:
        _live(world)
        _settle(world)
    except Broken as broken:
        raise Broken(f"seed {seed}: {broken}\n" + "\n".join(world.history)) from None
    finally:
        for process in world.named.values():
            process.abandon()
    return world


def _live(world: World) -> None:
    random = world.random
    for shard in "ab"[: random.choice((1, 2, 2))]:
        _rewrite(world, shard)
    vacuums = random.choice(VACUUMS)
    if random.random() < 0.25:
        _live_asleep(world, vacuums)
        return
    begun = 0
    nap = random.choice((0.0, 0.1, 0.5))
    for _ in range(STEPS):
        if random.random() < nap:
            _nap(world, 0.3)
        pick = random.random()
        if begun < 6 and pick < (0.5 if begun == 0 else 0.025):
            _begin(world, begun, vacuums)
            begun += 1
        elif pick < 0.05:
            _disturb(world)
        elif world.late and pick < 0.07:
            _land(world)
        _advance(world)


def _live_asleep(world: World, vacuums: int) -> None:
    """All fall asleep where it matters most, and others begin; then one of them wakes much later."""
    random = world.random
    begun = 0
    for _ in range(2 * STEPS):
        _nap(world, 0.6)
        asleep = [process for process in world.processes if process.stopped]
        if any(not process.owner.stopped for process in world.processes):
            _advance(world)
        elif begun < 5 and (not asleep or random.random() < 0.6):
            if random.random() < 0.3:
                _rewrite(world, "a")
            _begin(world, begun, vacuums)
            begun += 1
        elif asleep:
            world.now += random.choice(LEAPS)
            process = random.choice(asleep)
            process.stopped, process.facts["napped"] = False, process.instruction
            world.note(f"{process.name} is continued")
        else:
            return


def _begin(world: World, number: int, vacuums: int) -> None:
    """Let a process begin, of one kind or another."""
    random = world.random
    process = Process(f"p{number}", random.choice(NODES), random.choice((0.0, 0.0, -3e5, 2e5)))
    process.facts["weights"] = random.choice(("v", "v", "v", "w"))
    kind = random.choice(KINDS + ("vacuum",) * vacuums) if number else "classify"
    world.note(f"{process.name} on {process.node} begins: {kind} by {process.facts['weights']}")
    if kind == "vacuum":
        options = vacuum.Options(
            random.choice((0.0, 3600.0, 86_400.0)), random.random() < 0.3, random.random() < 0.4
        )
        process.facts["history"] = options.history
        world.start(process, vacuum.vacuum(options))
    elif kind == "refresh":
        world.start(process, refresh("out"))
    else:
        world.start(process, classify("out", kind == "new run"))


def _nap(world: World, chance: float) -> None:
    """Stop processes that are about to write a version or an entry, or to vacuum: where it matters most."""
    for process in world.processes:
        about = process.instruction
        if type(about) in NAPS and not process.stopped and about is not process.facts.get("napped"):
            process.facts["napped"] = about
            if world.random.random() < chance:
                process.stopped = True
                world.note(f"{process.name} is stopped before {type(about).__name__}")


def _disturb(world: World) -> None:
    """Stop, continue or kill a process, rewrite a shard, restore a version, or let time pass."""
    random = world.random
    living = [process for process in world.processes if process.parent is None]
    what = random.choice(("stop", "stop", "continue", "kill", "rewrite", "restore", "leap"))
    if what == "rewrite":
        _rewrite(world, random.choice("ab"))
    elif what == "restore":
        _restore(world)
    elif what == "leap":
        world.now += random.choice(LEAPS)
    elif living:
        process = random.choice(living)
        if what == "kill":
            world.kill(process)
        else:
            process.stopped = what == "stop"
            world.note(f"{process.name} is {'stopped' if process.stopped else 'continued'}")


def _rewrite(world: World, shard: str) -> None:
    before = dict(world.source.history.get((shard, world.source.shards.get(shard, "")), ()))
    count = world.random.randint(1, 4)
    for name in [f"{shard}{i}" for i in range(count)]:
        if name not in before or world.random.random() < 0.3:
            before[name] = before.get(name, 0) + 1
    for name in list(before)[count:]:
        del before[name]
    world.note(f"shard {shard} is rewritten: {before}")
    world.source.write(shard, before.items())


def _restore(world: World) -> None:
    """What a user may do by the Delta library, as the runbook advises: not while history is removed."""
    log = world.store.log
    if len(log.versions) < 2 or any(process.facts.get("history") for process in world.processes):
        return
    to = world.random.randrange(len(log.versions) - 1)
    if log.versions[to].files <= world.store.files.keys():
        world.note(f"version {to} is restored as version {log.restore(to, world.now)}")


def _land(world: World) -> None:
    with contextlib.suppress(InputError, HeldError):
        world.land()


def _advance(world: World) -> None:
    """Let one process take a step; if all wait, let the time pass that the first of them waits for."""
    able = [process for process in world.processes if process.can_run(world.now)]
    if able:
        process = world.random.choice(able)
        world.now += 0.05
        world.step(process)
        if process.ended:
            _note_end(world, process)
        return
    waiting = [process.wakes for process in world.processes if not process.owner.stopped]
    if waiting:
        world.now = max(world.now, min(waiting))


def _note_end(world: World, process: Process) -> None:
    ending = process.error or (process.result.status if isinstance(process.result, Outcome) else "done")
    world.note(f"{process.name} ends: {ending}")
    invariants.check_outcome(world, process)


def _settle(world: World) -> None:
    """Let all that is begun come to its end, then bring the catalogue up to date, without trouble."""
    world.faults = False
    for process in list(world.processes):
        if process.stopped and world.random.random() < 0.5:
            world.kill(process)
        process.stopped = False
    _run_all(world)
    while world.late:
        _land(world)
    invariants.check_readable(world, "when all had ended")
    if world.random.random() < 0.2:
        process = _alone(world, "new run", classify("out", new_run=True))
        if process.error is not None:
            raise Broken(f"no new run can be made: {process.error}")
    for _ in range(6):
        process = _alone(world, "refresh", refresh("out"))
        if process.error is None and process.result.status == "unchanged":
            break
    else:
        raise Broken(f"the catalogue can't be brought up to date: {process.error}")
    invariants.check_end(world)


def _alone(world: World, kind: str, steps: Steps[Outcome]) -> Process:
    """A call that nobody disturbs."""
    process = Process(f"last{len(world.named)}", "three")
    process.facts["weights"] = "v"
    world.note(f"{process.name} begins: {kind} by v")
    world.start(process, steps)
    _run_all(world)
    return process


def _run_all(world: World) -> None:
    for _ in range(20_000):
        if not world.processes:
            return
        _advance(world)
    raise Broken("processes never end")


def run_seeds(seeds: Iterable[int]) -> Counter[str]:
    """Many histories; what happened in them, counted."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        world = simulate(seed)
        counts["seeds"] += 1
        counts["versions"] += len(world.store.log.versions)
        counts["runs committed"] += sum(version.run is not None for version in world.store.log.versions)
        counts["fences"] += sum(version.fence for version in world.store.log.versions)
        counts["restores"] += sum(version.restored for version in world.store.log.versions)
        counts["files removed"] += world.counts["removed"]
    return counts


def seeds_to_counterexample(mutant: str, most: int) -> tuple[int, str] | None:
    """How many histories without a guard it takes to break an invariant, and which; None if none does."""
    with MUTANTS[mutant]():
        for seed in range(most):
            try:
                simulate(seed)
            except Broken as broken:
                return seed + 1, str(broken).partition("\n")[0]
    return None


def main() -> None:
    """Run many histories, on all cores, or tell one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, help="tell this history in full")
    parser.add_argument("--mutants", action="store_true", help="seeds to a counterexample without each guard")
    parser.add_argument("--cores", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    if options.seed is not None:
        print("\n".join(simulate(options.seed).history))
        return
    if options.mutants:
        for name in MUTANTS:
            print(f"{name:24} {seeds_to_counterexample(name, options.seeds)}", flush=True)
        return
    started = time.perf_counter()
    pieces = [
        range(first, min(first + 1000, options.start + options.seeds))
        for first in range(options.start, options.start + options.seeds, 1000)
    ]
    counts: Counter[str] = Counter()
    with multiprocessing.Pool(options.cores) as pool:
        for found in pool.imap_unordered(run_seeds, pieces):
            counts += found
            rate = counts["seeds"] / (time.perf_counter() - started)
            print(f"\r{counts['seeds']:,} histories, {rate:,.0f} a second", end="", file=sys.stderr)
    print(f"\n{dict(counts)}, {time.perf_counter() - started:.0f} s, every invariant held")


if __name__ == "__main__":
    main()
