"""A store, a table, a source and a clock, all simulated; and processes that carry out protocols on them."""

from __future__ import annotations

import contextlib
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any, Literal

from pipeline.errors import HeldError, InputError, RunError, StorageTrouble
from pipeline.protocol.commit import Unclear
from pipeline.protocol.lease import LeaseRecord, Sleep
from pipeline.protocol.ledger import LedgerEntry
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps
from tests.protocol.delta import Log

Galaxy = tuple[str, int]
"""A row of the source: object_id and content."""


@dataclass(frozen=True)
class Row:
    """A row of the catalogue; `settings` are those by which it was classified."""

    galaxy: str
    content: int
    settings: str
    stale: bool = False


@dataclass(frozen=True)
class Part:
    """A unit's rows, durable."""

    run: str
    unit: int
    rows: tuple[Row, ...]
    written: float


@dataclass(frozen=True)
class DataFile:
    """Rows of the catalogue, durable."""

    rows: tuple[Row, ...]
    written: float


@dataclass
class Store:
    """All that is stored: what survives every process."""

    lease: tuple[LeaseRecord, str] | None = None
    plans: dict[str, Plan] = field(default_factory=dict)
    entries: dict[tuple[str, int], tuple[LedgerEntry, float]] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    files: dict[str, DataFile] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    summaries: set[str] = field(default_factory=set)
    without_parts: set[str] = field(default_factory=set)


@dataclass
class Source:
    """Shards of galaxies; each rewriting of a shard has an etag of its own, and all are remembered."""

    shards: dict[str, str] = field(default_factory=dict)
    history: dict[tuple[str, str], tuple[Galaxy, ...]] = field(default_factory=dict)

    def write(self, shard: str, galaxies: Iterable[Galaxy]) -> None:
        """Write a shard, or rewrite it."""
        etag = str(sum(1 for name, _ in self.history if name == shard))
        self.shards[shard] = etag
        self.history[shard, etag] = tuple(galaxies)


class Killed(Exception):
    """What happens to a process at a crash."""


@dataclass
class Process:
    """A process that carries out a protocol, an instruction at a time.

    Attributes
    ----------
    node
        The machine that it runs on.
    skew
        Seconds by which this machine's clock is ahead of the store's.
    stack
        Protocols that wait for each other, the innermost last.
    parent
        The driver whose death ends this one too, be it its heartbeat; None for a worker, which may survive.
    """

    name: str
    node: str
    skew: float = 0.0
    stack: list[Generator[Any, Any, Any]] = field(default_factory=list)
    parent: Process | None = None
    instruction: Instruction[Any] | None = None
    stopped: bool = False
    killed: bool = False
    ended: bool = False
    result: Any = None
    error: Exception | None = None
    wakes: float = 0.0
    lease: LeaseRecord | None = None
    lost: Exception | None = None
    beating: Process | None = None
    workers: list[Process] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it still has something to do."""
        return not (self.ended or self.killed)

    @property
    def owner(self) -> Process:
        """The process whose memory this one shares."""
        return self.parent or self

    def abandon(self) -> None:
        """Forget what it was about to do, as a process that is killed does: without a last word."""
        while self.stack:
            steps = self.stack.pop()
            with contextlib.suppress(Killed, StopIteration):
                while True:
                    steps.throw(Killed())

    def can_run(self, now: float) -> bool:
        """Whether it may take its next step."""
        return self.wakes <= now and not (self.parent or self).stopped


Fault = Literal["none", "lost answer", "failed", "late"]

Handler = Callable[["World", Process, Any], Any]

_WEIGHTS: dict[Fault, float] = {"none": 0.94, "lost answer": 0.03, "failed": 0.015, "late": 0.015}


class World:
    """Everything, and the order in which it happens: all of it follows from the seed.

    Attributes
    ----------
    handlers
        What each instruction does; a protocol that one returns is carried out in its place.
    processes
        Those that still have something to do; `named` has all that ever were.
    writes
        Instructions that change the store by a request, whose answer may be lost, or which may land late.
    """

    def __init__(
        self, seed: int, handlers: dict[type[Any], Handler], writes: frozenset[type[Any]], faults: bool = True
    ) -> None:
        self.random = random.Random(seed)
        self.handlers, self.writes = handlers, writes
        self.faults = faults
        self.now = 0.0
        self.store, self.source = Store(), Source()
        self.named: dict[str, Process] = {}
        self.processes: list[Process] = []
        self.late: deque[tuple[Process, Instruction[Any]]] = deque()
        self.history: list[str] = []
        self.counts: Counter[str] = Counter()
        self.names = 0

    def unique(self) -> str:
        """Eight hexadecimal digits that nothing else has."""
        self.names += 1
        return f"{self.names:08x}"

    def note(self, what: str) -> None:
        """Keep what happens, to be read when an invariant is broken."""
        self.history.append(f"{self.now:12.2f} {what}")

    def start(self, process: Process, steps: Steps[Any]) -> Process:
        """Let a process begin with a protocol."""
        process.stack.append(steps)
        self.processes.append(process)
        self.named[process.name] = process
        self._resume(process, None, None)
        return process

    def step(self, process: Process) -> None:
        """Carry out the instruction that a process waits for, and let it go on to the next."""
        instruction = process.instruction
        if instruction is None:
            return
        kind = type(instruction)
        fault: Fault = "none"
        if self.faults and kind in self.writes:
            pick = self.random.random()
            for name, weight in _WEIGHTS.items():
                fault = name
                pick -= weight
                if pick < 0:
                    break
        try:
            if fault == "failed" or fault == "late":
                if fault == "late":
                    self.late.append((process, instruction))
                raise self._trouble(instruction)
            answer = self.handlers[kind](self, process, instruction)
            if fault == "lost answer":
                raise self._trouble(instruction)
        except (InputError, RunError, HeldError, Unclear) as error:
            self._resume(process, None, error)
            return
        if isinstance(answer, GeneratorType):
            process.stack.append(answer)
            answer = None
        self._resume(process, answer, None)

    def land(self) -> None:
        """Let a request arrive whose sender was told that it failed."""
        process, instruction = self.late.popleft()
        self.note(f"{process.name}: {type(instruction).__name__} arrives late")
        self.handlers[type(instruction)](self, process, instruction)

    def end(self, process: Process) -> None:
        """Let a process end where it is."""
        process.ended = True
        process.abandon()
        self.processes = [other for other in self.processes if other is not process]

    def kill(self, process: Process) -> None:
        """End a process, and whatever is of its memory."""
        self.note(f"{process.name} is killed")
        for one in (process, process.beating):
            if one is not None:
                one.killed = True
                one.abandon()
                self.processes = [other for other in self.processes if other is not one]

    def _trouble(self, instruction: Instruction[Any]) -> Exception:
        error = StorageTrouble(f"{type(instruction).__name__}: no answer")
        return Unclear(error) if type(instruction).__name__ == "WriteVersion" else error

    def _resume(self, process: Process, answer: Any, error: Exception | None) -> None:
        while process.stack:
            steps = process.stack[-1]
            try:
                instruction = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                process.stack.pop()
                answer, error = end.value, None
                continue
            except (InputError, RunError, HeldError, Unclear) as problem:
                process.stack.pop()
                answer, error = None, problem
                continue
            process.instruction = instruction
            if type(instruction) is Sleep:
                process.wakes = self.now + instruction.seconds
            return
        process.instruction, process.ended = None, True
        process.result, process.error = answer, error
        self.processes = [other for other in self.processes if other is not process]
