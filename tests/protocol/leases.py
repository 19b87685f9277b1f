"""What the instructions of the lease do in the simulated world."""

from __future__ import annotations

from typing import Any

from pipeline.errors import HeldError, InputError, RunError
from pipeline.protocol import lease
from pipeline.protocol.steps import Steps
from tests.protocol import invariants
from tests.protocol.world import Process, World

BEAT = lease.TIME_TO_LIVE / 5


def read_lease(world: World, process: Process, _: lease.ReadLease) -> Any:
    if world.store.lease is None:
        raise InputError("lease.json doesn't exist")
    return world.store.lease


def create_lease(world: World, process: Process, instruction: lease.CreateLease) -> bool:
    if world.store.lease is not None:
        return False
    return write_lease(world, process, instruction.record)


def swap_lease(world: World, process: Process, instruction: lease.SwapLease) -> bool:
    if world.store.lease is None or world.store.lease[1] != instruction.etag:
        return False
    return write_lease(world, process, instruction.record)


def write_lease(world: World, process: Process, record: lease.LeaseRecord) -> bool:
    taken = world.store.lease is None or world.store.lease[0].holder != record.holder
    world.store.lease = (record, world.unique())
    if taken and record.holder is not None:
        world.note(f"{process.name} takes the lease, epoch {record.epoch}")
        invariants.check_lease(world, process, record.epoch)
    return True


def looks_alive(world: World, process: Process, instruction: lease.LooksAlive) -> bool | None:
    holder = world.named[instruction.record.process]
    return holder.alive if holder.node == process.node else None


def hold_lease(world: World, process: Process, instruction: lease.HoldLease) -> Steps[int]:
    mine = lease.LeaseRecord(
        holder=f"{process.name}-{world.unique()}",
        epoch=0,
        run=process.name,
        node=process.node,
        process=process.name,
        beat=0,
        time="",
    )
    process.lease = yield from lease.take(mine, instruction.after_epoch)
    process.beating = world.start(
        Process(f"{process.name}'s heart", process.node, parent=process), _beat(world, process)
    )
    return process.lease.epoch


def _beat(world: World, process: Process) -> Steps[None]:
    last = world.now
    while process.alive and process.lease is not None:
        yield from lease.Sleep(BEAT)
        if process.lease is None:
            return
        try:
            process.lease = yield from lease.renew(process.lease)
            last = world.now
        except HeldError as error:
            process.lost = error
            return
        except (InputError, RunError) as error:
            if world.now - last > lease.TIME_TO_LIVE:
                process.lost = error
                return


def confirm_lease(world: World, process: Process, _: lease.ConfirmLease) -> Steps[None]:
    if process.lost is not None:
        raise process.lost
    assert process.lease is not None
    process.lease = yield from lease.renew(process.lease)


def release_lease(world: World, process: Process, _: lease.ReleaseLease) -> Steps[None]:
    mine, process.lease = process.lease, None
    if process.beating is not None:
        world.end(process.beating)
    if mine is not None and process.lost is None:
        try:
            yield from lease.give_back(mine)
        except (InputError, RunError, HeldError):
            return
