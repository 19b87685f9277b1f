"""One run at a time for each output: a lease with a heartbeat, taken over when its holder is dead.

Clocks of two machines are never compared: a contender watches the lease, and holds its owner for dead when it
has not changed for `TIME_TO_LIVE`. Each taking raises the lease's epoch, and the commit carries it, so that a
holder that slept through a takeover can't commit any more (fencing; see `pipeline.catalogue.commit`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError, RunError, StorageTrouble

TIME_TO_LIVE = 20.0
"""Seconds without a heartbeat after which a holder counts as dead."""

_BEAT = TIME_TO_LIVE / 5
_POLL = 1.0
_SWAPS = 5
_logger = logging.getLogger(__name__)


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


def lease_uri(output: str) -> str:
    """The lease file of an output."""
    return storage.join(output, "lease.json")


class Lease:
    """A lease that this process holds, renewed by a thread of its own.

    Attributes
    ----------
    epoch
        Of this taking.
    """

    def __init__(self, output: str, record: LeaseRecord) -> None:
        self.epoch = record.epoch
        self._uri = lease_uri(output)
        self._record, self._renewed = record, time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lost: Exception | None = None
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.confirm()
        self._thread.start()

    @property
    def age(self) -> float:
        """Seconds since it was last renewed."""
        return time.monotonic() - self._renewed

    def check(self) -> None:
        """Make sure that no beat has found the lease lost; costs nothing.

        Raises
        ------
        HeldError
            If another run has taken it over.
        RunError
            If it could not be renewed for a lifetime.
        """
        if self._lost:
            raise self._lost

    def confirm(self) -> None:
        """Make sure that the lease is held at this moment, by a beat.

        Raises
        ------
        HeldError
            If another run has taken it over.
        InputError
            If the store can't be reached, or can't swap files.
        """
        self.check()
        with self._lock:
            self._swap(beat=self._record.beat + 1, time=_now())

    def release(self) -> None:
        """Stop renewing and give the lease back; the next run needn't wait."""
        self._stop.set()
        self._thread.join()
        if self._lost:
            return
        try:
            self._swap(holder=None)
        except (HeldError, InputError, StorageTrouble) as error:
            _logger.warning("the lease could not be given back: %s", error)

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(_BEAT):
            try:
                self.confirm()
                last = time.monotonic()
            except HeldError as error:
                self._lost = error
                return
            except (InputError, StorageTrouble) as error:
                # The store may be away for a moment; only a whole lifetime without a beat loses the lease.
                _logger.warning("the lease could not be renewed: %s", error)
                if time.monotonic() - last > TIME_TO_LIVE:
                    self._lost = RunError(
                        f"{self._uri} could not be renewed for {TIME_TO_LIVE:g} s ({error}); what is "
                        "finished is kept: run the same command again"
                    )
                    return

    def _swap(self, **changes: object) -> None:
        """Replace the record, as long as it is still of this taking."""
        for _ in range(_SWAPS):
            found, etag = _read(self._uri)
            # By its holder alone: an earlier beat of ours may have landed though its answer was lost.
            if found.holder != self._record.holder:
                raise HeldError(f"{_who(found)} has taken over {self._uri}; this run stops")
            record = self._record.model_copy(update=changes)
            if storage.write_if_match(self._uri, _encode(record), etag):
                self._record, self._renewed = record, time.monotonic()
                return
        raise InputError(f"{self._uri} changes under every write; is someone editing it?")


@contextlib.contextmanager
def hold_lease(output: str, run: str, after_epoch: int = 0) -> Iterator[Lease]:
    """Hold the lease of an output.

    Parameters
    ----------
    after_epoch
        The new epoch will be higher than this one too, such as the last that committed.

    Raises
    ------
    HeldError
        If a living run holds it.
    InputError
        If the store can't swap files, or the lease file is damaged.
    """
    lease = Lease(output, _take(output, run, after_epoch))
    try:
        yield lease
    finally:
        lease.release()


def _take(output: str, run: str, after_epoch: int) -> LeaseRecord:
    uri = lease_uri(output)
    mine = LeaseRecord(
        holder=uuid.uuid4().hex,
        epoch=after_epoch + 1,
        run=run,
        node=socket.gethostname(),
        process=_process(os.getpid()),
        beat=0,
        time=_now(),
    )
    if storage.create(uri, _encode(mine)):
        return mine
    found, etag = _wait_for_death(uri)
    mine = mine.model_copy(update={"epoch": max(found.epoch, after_epoch) + 1, "time": _now()})
    if storage.write_if_match(uri, _encode(mine), etag) or storage.read_bytes(uri) == _encode(mine):
        return mine
    raise HeldError(f"{uri} was taken by {_who(_read(uri)[0])} a moment ago; wait for it to end")


def _wait_for_death(uri: str) -> tuple[LeaseRecord, str]:
    """The record of a holder that is gone, as it must be for the swap.

    Raises
    ------
    HeldError
        As soon as the holder shows life.
    """
    found, etag = _read(uri)
    watched = time.monotonic()
    while found.holder is not None and not _known_dead(found):
        if _known_alive(found):
            raise HeldError(f"{uri} is held by {_who(found)}; wait for it to end, or stop it")
        if time.monotonic() - watched > TIME_TO_LIVE:
            break
        time.sleep(_POLL)
        again, etag = _read(uri)
        if again != found and again.holder is not None:
            raise HeldError(f"{uri} is held by {_who(again)}; wait for it to end, or stop it")
        found = again
    return found, etag


def _read(uri: str) -> tuple[LeaseRecord, str]:
    data, etag = storage.read_with_etag(uri)
    try:
        return LeaseRecord.model_validate_json(data), etag
    except ValidationError as error:
        raise InputError(
            f"{uri} is not a lease: {error.errors()[0]['msg']}; remove it if no run is going"
        ) from error


def _encode(record: LeaseRecord) -> bytes:
    return record.model_dump_json().encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who(record: LeaseRecord) -> str:
    return f"run {record.run} (process {record.process.split('@')[0]} on {record.node}, seen {record.time})"


def _process(pid: int) -> str:
    """Process id, start time, boot and process table: another process of the same id is told apart."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        table = os.readlink("/proc/self/ns/pid")
    except OSError:
        return f"{pid}@gone"
    started = "dead" if state in "ZX" else fields[18]
    return f"{pid}@{started}@{boot}@{table}"


def _on_this_machine(record: LeaseRecord) -> bool:
    """Whether the holder's process can be looked up here: same boot, same process table."""
    own, theirs = _process(os.getpid()).split("@"), record.process.split("@")
    return record.node == socket.gethostname() and len(own) == len(theirs) == 4 and own[2:] == theirs[2:]


def _known_dead(record: LeaseRecord) -> bool:
    return _on_this_machine(record) and _process(int(record.process.split("@")[0])) != record.process


def _known_alive(record: LeaseRecord) -> bool:
    return _on_this_machine(record) and _process(int(record.process.split("@")[0])) == record.process
