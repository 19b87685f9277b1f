"""Plan, ledger and commit under crashes between any two storage operations.

Whatever crashed before, an attempt that runs to its end leaves every input row in the catalogue once or in
the quarantine once; and at no moment does the catalogue show a part of a run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline import storage
from pipeline.catalogue import is_committed, read_state
from pipeline.errors import InputError
from pipeline.protocol import Plan, PlannedShard, RunLayout, catalogue_uri, make_plan
from pipeline.protocol.records import Lease, hold_lease, lease, read_ledger, read_plans
from pipeline.tree import load_tree
from tests.support.runs import finish
from tests.support.steps import adopt_plan, commit_run
from tests.support.tables import snapshot

EXAMPLES = int(os.environ.get("TUNINGFORK_PROTOCOL_EXAMPLES", "25"))
TREE = load_tree()
SHARDS = [
    PlannedShard(uri="a.parquet", size=1, etag="1", rows=5),
    PlannedShard(uri="b.parquet", size=1, etag="1", rows=4),
]
PLAN = make_plan(SHARDS, 3, {"weights": "w"})
BAD = {0: 0, 1: 2, 2: 3, 3: 1}
"""Rows to be quarantined in each unit, the last of its rows; all of unit 2."""

OPERATIONS = (
    "create",
    "write_bytes",
    "read_bytes",
    "list_files",
    "exists",
    "filesystem",
    "read_with_etag",
    "write_if_match",
)


class Crash(BaseException):
    """The process dies here."""


class Fuse:
    """Lets so many storage operations pass; then the process is dead, or one answer is lost."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.deadly = True
        self.blown = False

    def burn(self, left: int, deadly: bool) -> None:
        """Set the fuse: a dead process does nothing more, a lost answer is lost once."""
        self.left, self.deadly, self.blown = left, deadly, False

    def pass_one(self, done: bool) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0 and self.deadly:
            self.blown = True
            raise Crash
        if self.left < 0 and done and not self.blown:
            self.blown = True
            raise InputError("the store's answer was lost")


class Protocol(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.output = str(Path(self.folder) / "out")
        self.fuse = Fuse()
        self.originals: list[tuple[Any, str, Callable[..., Any]]] = []
        patched = [(DeltaTable, "create_write_transaction"), (DeltaTable, "create")]
        for module, name in [*((storage, name) for name in OPERATIONS), *patched]:
            self.replace(module, name, self.fused(getattr(module, name)))
        self.replace(lease, "_process", lambda pid: f"{pid}@{self.lives}@boot@table")

    def replace(self, module: Any, name: str, by: Callable[..., Any]) -> None:
        self.originals.append((module, name, getattr(module, name)))
        setattr(module, name, by)

    def fused(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.fuse.pass_one(done=False)
            result = original(*args, **kwargs)
            self.fuse.pass_one(done=True)
            return result

        return call

    def teardown(self) -> None:
        for module, name, original in self.originals:
            setattr(module, name, original)
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.lives = 0

    def attempt(self, order: list[int], new_run: bool) -> None:
        """One call of the job; whoever held the lease before is a process that is gone."""
        self.lives += 1
        state = read_state(self.output)
        with hold_lease(self.output, PLAN.run, 0 if state is None else state.epoch) as held:
            self.work(order, new_run, held)

    def work(self, order: list[int], new_run: bool, held: Lease) -> None:
        plan = adopt_plan(self.output, PLAN, new_run, lambda earlier: is_committed(self.output, earlier))
        layout = RunLayout(self.output, plan.run)
        done = read_ledger(layout)
        units = list(plan.units())
        for index in order:
            if index not in done:
                finish(layout, TREE, units[index], BAD[index])
        held.confirm()
        commit_run(layout, TREE, plan, read_ledger(layout), held.epoch)

    @rule(
        order=st.permutations(range(4)),
        operations=st.integers(0, 150),
        deadly=st.booleans(),
        new_run=st.booleans(),
    )
    def disturbed(self, order: list[int], operations: int, deadly: bool, new_run: bool) -> None:
        self.fuse.burn(operations, deadly)
        try:
            self.attempt(order, new_run)
        except BaseException:
            # Delta's writer wraps what is raised within it, so that the fuse, not the type, tells.
            if not self.fuse.blown:
                raise
        finally:
            self.fuse.left = None

    @rule(unit=st.integers(0, 3))
    def late_writer(self, unit: int) -> None:
        """A worker of a dead attempt finishes its unit after all."""
        plan = self.latest()
        if plan is not None:
            finish(RunLayout(self.output, plan.run), TREE, list(plan.units())[unit], BAD[unit])

    @rule(order=st.permutations(range(4)), new_run=st.booleans())
    def run_to_the_end(self, order: list[int], new_run: bool) -> None:
        self.attempt(order, new_run)
        plan = self.latest()
        assert plan is not None
        assert is_committed(self.output, plan)
        quarantine = pq.read_table(RunLayout(self.output, plan.run).quarantine)
        rows = [(row["shard"], row["row"]) for row in quarantine.to_pylist()]
        assert sorted(rows) == sorted(self.expected()[1])

    def latest(self) -> Plan | None:
        return next((plan for plan in read_plans(self.output) if plan.fingerprint == PLAN.fingerprint), None)

    @invariant()
    def the_catalogue_is_whole_or_empty(self) -> None:
        state = read_state(self.output)
        if state is not None and state.version > 0:
            ids = snapshot(catalogue_uri(self.output))["object_id"].to_pylist()
            assert sorted(ids) == sorted(self.expected()[0])

    @staticmethod
    def expected() -> tuple[list[str], list[tuple[str, int]]]:
        good, bad = [], []
        for unit in PLAN.units():
            edge = unit.stop - BAD[unit.index]
            good += [f"{unit.shard}-{row}" for row in range(unit.start, edge)]
            bad += [(unit.shard, row) for row in range(edge, unit.stop)]
        return good, bad


Protocol.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=6, deadline=None)
TestProtocol = Protocol.TestCase
