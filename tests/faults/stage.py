"""Stages for a process: it stops where a test says, on a host and by a clock of the test's.

They replace only names that the code has had for long, so that a play can be given on an earlier version too.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any


@dataclass(frozen=True)
class Stage:
    """What is arranged for a process.

    Attributes
    ----------
    stop_at
        Crash point (see `pipeline.faults`) where it stops, once, as by SIGSTOP.
    stop_when
        Pattern of paths: it stops when a new file has such a name; from `stop_at` on, if that is given too.
    host
        Name of the machine that it takes itself to be on; the real one where not given.
    ahead
        Seconds by which its clock is ahead.
    lifetime
        Seconds without a beat after which it holds the owner of a lease for dead; it beats so much oftener.
    in_use
        Seconds for which its vacuum takes any file for one that is being written.
    ray
        Whether units are streamed by Ray; else one after the other in the process itself, by the same actors,
        which takes a fifth of the time.
    report
        Whether runs draw a report of the catalogue.
    """

    stop_at: str | None = None
    stop_when: str | None = None
    host: str | None = None
    ahead: float = 0.0
    lifetime: float | None = None
    in_use: float | None = None
    ray: bool = False
    report: bool = True

    def set_up(self) -> None:
        """Arrange it in this process."""
        if self.stop_at is not None:
            _at_crash_point(self.stop_at, self._watch if self.stop_when else _stop)
        elif self.stop_when is not None:
            self._watch()
        if self.host is not None:
            from pipeline.protocol.records import lease

            _names_of(lease).socket = SimpleNamespace(gethostname=lambda: self.host)
        if self.lifetime is not None:
            _shorten_lease(self.lifetime)
        if self.in_use is not None:
            from pipeline.protocol import vacuum

            vacuum.IN_USE = self.in_use
        if self.ahead:
            _set_clock(self.ahead)
        if not self.ray:
            _stream_without_ray()
        if not self.report:
            from pipeline.run import report

            report.write_report = lambda *_: None

    def _watch(self) -> None:
        assert self.stop_when is not None
        watch = _Watch(self.stop_when)
        sys.addaudithook(watch.before_move)
        threading.Thread(target=watch.look_on, daemon=True).start()


class _Watch:
    """Stops the process, once, when a new file has a name like the pattern.

    A file may be written and moved between two looks: so it looks before each move too.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern, self._before = pattern, set(glob.glob(pattern))
        self._looking, self._stopped = threading.Lock(), False

    def before_move(self, event: str, _: object) -> None:
        if event in {"os.rename", "os.link"}:  # audit events of Python, PEP 578
            self._look()

    def look_on(self) -> None:
        while not self._stopped:
            self._look()
            time.sleep(0.0002)

    def _look(self) -> None:
        with self._looking:
            if not self._stopped and set(glob.glob(self._pattern)) - self._before:
                self._stopped = True
                _stop()


def _names_of(module: Any) -> Any:
    """A module whose names are to be replaced, whatever their types."""
    return module


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _at_crash_point(name: str, act: Callable[[], None]) -> None:
    """Have something done where a run would crash, the first time that it comes there."""
    from pipeline import faults

    environment = {faults.CRASH_AT: name}

    def kill(*_: int) -> None:
        if environment:
            environment.clear()
            act()

    _names_of(faults).os = SimpleNamespace(environ=environment, getpid=os.getpid, kill=kill)


def _shorten_lease(lifetime: float) -> None:
    from pipeline.protocol.records import lease

    names = _names_of(lease)
    names.TIME_TO_LIVE, names._BEAT = lifetime, lifetime / 5


def _set_clock(ahead: float) -> None:
    from pipeline.upkeep import vacuum

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=ahead)

    right = time.time
    time.time = lambda: right() + ahead
    _names_of(vacuum).datetime = Ahead


def _stream_without_ray() -> None:
    from pipeline import streaming

    names = _names_of(streaming)
    names.connect = lambda: None
    names.secure_nodes = lambda *_: None
    names.plan_resources = lambda *_: None
    names.RunMetrics = lambda *_: SimpleNamespace(add=lambda *_: None)
    names.stream_units = _stream_units
    from pipeline.streaming import cutting

    _names_of(cutting).spread = map


def _stream_units(units: Sequence[Any], layout: Any, settings: Any, *_: Any) -> Iterator[Any]:
    import pyarrow as pa

    from pipeline.protocol import LedgerEntry
    from pipeline.streaming.decode import DecodeActor
    from pipeline.streaming.model import ModelActor
    from pipeline.streaming.rows import DecodeSettings
    from pipeline.streaming.sink import SinkActor

    decode = DecodeActor(None, False, settings.survey, settings.index, DecodeSettings(settings.recentrings))
    model = ModelActor(settings.weights, settings.tree, settings.transforms, settings.precision, 1, "cpu")
    sink = SinkActor(layout, settings.tree, settings.weights_sha256)
    for unit in units:
        (row,) = sink(model(decode(pa.Table.from_pylist([asdict(unit)])))).to_pylist()
        yield LedgerEntry.model_validate_json(row["entry"])
