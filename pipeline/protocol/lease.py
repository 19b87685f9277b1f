"""The lease of an output: how it is taken, renewed and given back.

Clocks of two machines are never compared: a contender watches the lease, and holds its owner for dead when it
has not changed for a lifetime. Each taking raises the lease's epoch, and every version of the catalogue
carries the epoch under which it was written: a holder that slept through a takeover can't write after its
successor (a fencing token).

References
----------
Gray & Cheriton 1989, Leases: an efficient fault-tolerant mechanism for distributed file cache consistency,
SOSP '89, 202.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError
from pipeline.protocol.steps import Instruction, Steps

TIME_TO_LIVE = 20.0
"""Seconds without a heartbeat after which a holder counts as dead."""

POLL_SECONDS = 1.0
"""Seconds between two looks of a contender at the lease."""

_SWAPS = 5


class LeaseRecord(StrictModel):
    """What the lease file says.

    Attributes
    ----------
    holder
        Unique to one taking; None when the lease was given back.
    epoch
        How often the lease was taken.
    process
        Process id and start time on `node`; where both can be looked up, death is known at once.
    beat
        Changes with every heartbeat.
    """

    holder: str | None
    epoch: int
    run: str
    node: str
    process: str
    beat: int
    time: str

    @property
    def who(self) -> str:
        """The holder, in words."""
        process = self.process.split("@")[0]
        return f"run {self.run} (process {process} on {self.node}, seen {self.time})"


@dataclass(frozen=True)
class ReadLease(Instruction[tuple[LeaseRecord, str]]):
    """Read the lease: what it says, and the etag with which `SwapLease` replaces just that."""


@dataclass(frozen=True)
class CreateLease(Instruction[bool]):
    """Write the lease if there is none; False if there is."""

    record: LeaseRecord


@dataclass(frozen=True)
class SwapLease(Instruction[bool]):
    """Replace the lease if it is still the one of this etag; False if not."""

    record: LeaseRecord
    etag: str


@dataclass(frozen=True)
class LooksAlive(Instruction[bool | None]):
    """Ask whether the holder's process runs; None if it can't be looked up from here."""

    record: LeaseRecord


@dataclass(frozen=True)
class Elapsed(Instruction[float]):
    """Ask for the seconds by this process's steady clock, which no one sets."""


@dataclass(frozen=True)
class Now(Instruction[str]):
    """Ask for the date and time, for people to read."""


@dataclass(frozen=True)
class Sleep(Instruction[None]):
    """Wait for some seconds."""

    seconds: float


@dataclass(frozen=True)
class HoldLease(Instruction[int]):
    """Hold the output's lease from now on; the answer is its epoch, which is higher than `after_epoch`."""

    after_epoch: int


@dataclass(frozen=True)
class ConfirmLease(Instruction[None]):
    """Make sure that the lease is held at this moment, by a beat."""


@dataclass(frozen=True)
class ReleaseLease(Instruction[None]):
    """Give the lease back."""


def take(mine: LeaseRecord, after_epoch: int, lifetime: float = TIME_TO_LIVE) -> Steps[LeaseRecord]:
    """Take the lease, from a holder that is gone if need be.

    Parameters
    ----------
    mine
        What to write, but for the epoch.
    after_epoch
        The new epoch is higher than this one too: the last that wrote to the catalogue.

    Raises
    ------
    HeldError
        If its holder lives, or another contender was faster.
    """
    mine = mine.model_copy(update={"epoch": after_epoch + 1})
    if (yield from CreateLease(mine)):
        return mine
    seen, etag = yield from _wait_for_death(lifetime)
    mine = mine.model_copy(update={"epoch": max(seen.epoch, after_epoch) + 1})
    if (yield from SwapLease(mine, etag)):
        return mine
    now, _ = yield from ReadLease()
    if now.holder == mine.holder:  # written, though the answer was lost
        return mine
    raise HeldError(f"was taken by {now.who} a moment ago; wait for it to end")


def _wait_for_death(lifetime: float) -> Steps[tuple[LeaseRecord, str]]:
    """The record of a holder that is gone, and its etag."""
    seen, etag = yield from ReadLease()
    started = yield from Elapsed()
    while seen.holder is not None:
        alive = yield from LooksAlive(seen)
        if alive:
            raise HeldError(f"is held by {seen.who}; wait for it to end, or stop it")
        if alive is False or (yield from Elapsed()) - started > lifetime:
            break
        yield from Sleep(POLL_SECONDS)
        now, etag = yield from ReadLease()
        if now != seen and now.holder is not None:
            raise HeldError(f"is held by {now.who}; wait for it to end, or stop it")
        seen = now
    return seen, etag


def renew(mine: LeaseRecord) -> Steps[LeaseRecord]:
    """One heartbeat: the record with the next beat, once it is written.

    Raises
    ------
    HeldError
        If another run has taken the lease over.
    """
    beat = mine.model_copy(update={"beat": mine.beat + 1, "time": (yield from Now())})
    return (yield from _replace(mine, beat))


def give_back(mine: LeaseRecord) -> Steps[LeaseRecord]:
    """End the lease, so that the next run needn't wait.

    Raises
    ------
    HeldError
        If another run has taken it over.
    """
    return (yield from _replace(mine, mine.model_copy(update={"holder": None})))


def _replace(mine: LeaseRecord, by: LeaseRecord) -> Steps[LeaseRecord]:
    for _ in range(_SWAPS):
        now, etag = yield from ReadLease()
        # By its holder alone: an earlier beat of ours may have landed though its answer was lost.
        if now.holder != mine.holder:
            raise HeldError(f"was taken over by {now.who}; this run stops")
        if (yield from SwapLease(by, etag)):
            return by
    raise InputError("changes under every write; is someone editing it?")
