"""The lease of an output on a real store, renewed by a heartbeat; see `pipeline.protocol.lease`."""

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
from typing import TypeVar

from pydantic import ValidationError

from pipeline import storage
from pipeline.errors import HeldError, InputError, RunError, StorageTrouble
from pipeline.protocol.lease import (
    TIME_TO_LIVE,
    ConfirmLease,
    CreateLease,
    Elapsed,
    HoldLease,
    LeaseRecord,
    LooksAlive,
    Now,
    ReadLease,
    ReleaseLease,
    Sleep,
    SwapLease,
    give_back,
    renew,
    take,
)
from pipeline.protocol.steps import Handlers, Steps, perform

_BEAT = TIME_TO_LIVE / 5
_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


def lease_uri(output: str) -> str:
    """URI of the lease file of an output."""
    return storage.join(output, "lease.json")


class Lease:
    """A lease that this process holds, renewed by a thread of its own.

    Attributes
    ----------
    epoch
        Number of this taking of the lease.
    """

    def __init__(self, output: str, record: LeaseRecord) -> None:
        self.epoch = record.epoch
        self._output = output
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
            self._record = _perform(renew(self._record), self._output)
            self._renewed = time.monotonic()

    def release(self) -> None:
        """Stop renewing and give the lease back; the next run needn't wait."""
        self._stop.set()
        self._thread.join()
        if self._lost:
            return
        try:
            _perform(give_back(self._record), self._output)
        except (HeldError, InputError, StorageTrouble) as error:
            _logger.info("the lease could not be given back: %s", error)

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
                        f"{lease_uri(self._output)} could not be renewed for {TIME_TO_LIVE:g} s ({error}); "
                        "what is finished is kept: run the same command again"
                    )
                    return


@contextlib.contextmanager
def hold_lease(output: str, run: str, after_epoch: int = 0) -> Iterator[Lease]:
    """Hold the lease of an output.

    Parameters
    ----------
    run
        Names the holder in what others are told.
    after_epoch
        The new epoch will be higher than this one too, such as the last that wrote to the catalogue.

    Raises
    ------
    HeldError
        If a living run holds it.
    InputError
        If the store can't swap files, or the lease file is damaged.
    """
    mine = LeaseRecord(
        holder=uuid.uuid4().hex,
        epoch=0,
        run=run,
        node=socket.gethostname(),
        process=_process(os.getpid()),
        beat=0,
        time=_now(),
    )
    lease = Lease(output, _perform(take(mine, after_epoch, TIME_TO_LIVE), output))
    try:
        yield lease
    finally:
        lease.release()


class LeaseKeeper:
    """Carries out the instructions of a protocol that works under a lease.

    Attributes
    ----------
    run
        Names the holder in what others are told.
    """

    def __init__(self, output: str, run: str) -> None:
        self.run = run
        self._output = output
        self._lease: Lease | None = None
        self._stack = contextlib.ExitStack()

    @property
    def handlers(self) -> Handlers:
        """The functions that carry out each instruction of the lease."""
        return {
            HoldLease: self._hold,
            ConfirmLease: lambda _: self.held.confirm(),
            ReleaseLease: lambda _: self._stack.close(),
        }

    @property
    def held(self) -> Lease:
        """The lease, between `HoldLease` and `ReleaseLease`."""
        assert self._lease is not None
        return self._lease

    def _hold(self, instruction: HoldLease) -> int:
        self._lease = self._stack.enter_context(
            hold_lease(self._output, self.run or "of this output", instruction.after_epoch)
        )
        return self._lease.epoch


def _perform(steps: Steps[Answer], output: str) -> Answer:
    """Carry out a protocol of the lease; what it raises names the file."""
    uri = lease_uri(output)

    def create(instruction: CreateLease) -> bool:
        return storage.create(uri, _encode(instruction.record))

    def swap(instruction: SwapLease) -> bool:
        return storage.write_if_match(uri, _encode(instruction.record), instruction.etag)

    handlers: Handlers = {
        ReadLease: lambda _: _read(uri),
        CreateLease: create,
        SwapLease: swap,
        LooksAlive: lambda instruction: _looks_alive(instruction.record),
        Elapsed: lambda _: time.monotonic(),
        Now: lambda _: _now(),
        Sleep: lambda instruction: time.sleep(instruction.seconds),
    }
    with _naming(uri):
        return perform(steps, handlers)


@contextlib.contextmanager
def _naming(uri: str) -> Iterator[None]:
    """Put the file's URI before the message of what is raised about it."""
    try:
        yield
    except (HeldError, InputError) as error:
        if uri in str(error):
            raise
        raise type(error)(f"{uri} {error}") from error


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


def _looks_alive(record: LeaseRecord) -> bool | None:
    """Whether the holder's process runs; None where another machine, boot or process table is its own."""
    own, theirs = _process(os.getpid()).split("@"), record.process.split("@")
    if record.node != socket.gethostname() or not len(own) == len(theirs) == 4 or own[2:] != theirs[2:]:
        return None
    now = _process(int(theirs[0]))
    if now.endswith("@gone") and not Path("/proc/1/stat").exists():
        return None  # other users' processes are hidden here
    return now == record.process
