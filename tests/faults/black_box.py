"""Commands at once on one output of a real object store, stopped, killed and failed at random.

    python -m tests.faults.black_box --runs 200 --seed 1

Each run goes to its end; then its whole history is checked, version by version. The log of one that fails is
kept. A run is drawn from the seed and its number: who acts, when, and what happens to whom.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from tests.benchmarks.store import object_store
from tests.faults.checker import Content, History, witness_findings
from tests.faults.company import Player, company
from tests.faults.proxy import Fault, FaultProxy, random_faults
from tests.faults.stage import Stage
from tests.faults.survey import BAD_EVERY, cutout_table

BUCKET = "black-box"
KINDS = [Fault.SLOW_DOWN, Fault.RESET, Fault.CUT_UPLOAD, Fault.LOST_REPLY, Fault.TRUNCATED]
HOSTS = ("here", "there", "elsewhere")
LIFETIME = 3.0
"""Of a lease; seconds."""
SETTINGS = ("transforms=1", "precision=float32", "unit_rows=4", "report_galaxies=4")
VERBS = {
    "classify": (["classify"], 4),
    "anew": (["classify", "new_run=true", "precision=bfloat16"], 2),
    "refresh": (["refresh"], 4),
    "vacuum": (["vacuum", "grace=0s"], 2),
    "vacuum of parts": (["vacuum", "grace=0s", "parts=true"], 1),
}
"""What may be done, and how often it is drawn."""

POINTS = ("after_ledger", "in_compaction", "after_commit", "after_report")
PATIENCE = 150.0
"""Seconds after which a process that still goes is a finding."""


@dataclass
class Source:
    """Cutout shards that change.

    Attributes
    ----------
    contents
        All that any shard ever held, by etag.
    now
        Etags of the shards.
    """

    uri: str
    galaxies: pa.Table
    contents: dict[str, Content] = field(default_factory=dict)
    now: dict[str, str] = field(default_factory=dict)
    _writings: int = 0

    def write(self, name: str, first: int, count: int) -> None:
        """Write a shard, or write it anew: every row is another then."""
        self._writings += 1
        table = self.galaxies.slice(first, count)
        right_ascensions = pa.array([ra + self._writings for ra in table["ra"].to_pylist()], pa.float64())
        table = table.set_column(1, table.schema.field("ra"), right_ascensions)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        data = sink.getvalue().to_pybytes()
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        rows = dict(zip(table["object_id"].to_pylist(), table["ra"].to_pylist(), strict=True))
        bad = frozenset(f"g{i:06d}" for i in range(first, first + count) if i % BAD_EVERY == 5)
        good = {name: ra for name, ra in rows.items() if name not in bad}
        self.contents[etag] = Content(good, bad)
        storage.write_bytes(f"{self.uri}/{name}.parquet", data)
        self.now[name] = etag

    def change(self, rng: random.Random) -> str:
        """Add, rewrite or remove a shard; says which."""
        how = rng.choice(["add", "rewrite", "rewrite", "remove"])
        if how == "remove" and len(self.now) > 2:
            name = rng.choice(sorted(self.now))
            storage.remove(f"{self.uri}/{name}.parquet")
            del self.now[name]
        elif how == "rewrite":
            name = rng.choice(sorted(self.now))
            self.write(name, int(name) * 10, rng.randint(6, 10))
        else:
            number = max(map(int, self.now)) + 1
            if number * 10 >= len(self.galaxies):
                return "nothing"
            name = str(number)
            self.write(name, number * 10, rng.randint(6, 10))
        return f"{how} shard {name}"


@dataclass(frozen=True)
class Part:
    """What one player does: its words, on which stage, and when what happens to it."""

    words: Sequence[str]
    stage: Stage
    faulty: bool
    begins: float
    signals: Sequence[tuple[float, signal.Signals]]


def drawn_part(rng: random.Random, ray: bool) -> Part:
    """A part by chance."""
    words = rng.choices([words for words, _ in VERBS.values()], [times for _, times in VERBS.values()])[0]
    begins = rng.uniform(0, 4)
    stop_at = rng.choice(POINTS) if rng.random() < 0.4 else None
    signals: list[tuple[float, signal.Signals]] = []
    stops = begins + rng.uniform(0.2, 4)
    goes_on = stops + rng.choice([rng.uniform(0.2, 2), rng.uniform(LIFETIME, 4 * LIFETIME)])
    fate = rng.random()
    if fate < 0.4:
        signals = [(stops, signal.SIGSTOP), (goes_on, signal.SIGCONT)]
    elif fate < 0.55:
        signals = [(stops, signal.SIGKILL)]
    elif fate < 0.65:
        signals = [(stops, signal.SIGSTOP), (goes_on, signal.SIGKILL)]
    if stop_at is not None and not signals:
        signals = [(begins + rng.uniform(2, 4 * LIFETIME), signal.SIGCONT)]
    stage = Stage(stop_at=stop_at, host=rng.choice(HOSTS), lifetime=LIFETIME, in_use=0, ray=ray, report=ray)
    return Part(words, stage, rng.random() < 0.5, begins, signals)


class Performance:
    """One run of the black box.

    Attributes
    ----------
    folder
        Keeps the log of each player, and of the whole.
    """

    def __init__(self, number: int, seed: int, folder: Path, galaxies: pa.Table, ray: bool) -> None:
        self.rng = random.Random(f"{seed}/{number}")
        self.folder, self.ray = folder, ray
        self.prefix = f"s3://{BUCKET}/run-{number}"
        self.output = f"{self.prefix}/out"
        self.source = Source(f"{self.prefix}/cutouts", galaxies)
        self.players: list[Player] = []
        self.findings: list[str] = []
        self._started = time.monotonic()
        folder.mkdir(parents=True)

    def give(self) -> None:
        """Play it, from an empty output or a complete one, and check it."""
        for number in range(self.rng.randint(2, 3)):
            self.source.write(str(number), number * 10, self.rng.randint(6, 10))
        if self.rng.random() < 0.6:
            self._alone(["classify"])
            for _ in range(self.rng.randint(1, 2)):
                self.note(self.source.change(self.rng))
        parts = [drawn_part(self.rng, self.ray) for _ in range(self.rng.randint(2, 4))]
        changes = [self.rng.uniform(0, 6)] if self.rng.random() < 0.3 else []
        rate = self.rng.choice([0.02, 0.05, 0.1])
        faults = random_faults(self.rng.randrange(1 << 30), rate, KINDS)
        with FaultProxy(os.environ["AWS_ENDPOINT_URL"], faults, slow_s=0.5) as proxy:
            self._act(parts, changes, proxy.endpoint)
            self.note(f"{proxy.requests} requests, {dict(proxy.injected)}")
        self._check()
        self._finish()

    def note(self, text: str) -> None:
        """Write to the log of the whole."""
        with (self.folder / "log").open("a") as log:
            log.write(f"{time.monotonic() - self._started:7.2f} {text}\n")

    def _enter(self, words: Sequence[str], stage: Stage, environment: Mapping[str, str]) -> Player:
        verb, *others = words
        every = [verb, self.output, *others]
        if verb in ("classify", "refresh"):
            every = [verb, f"input={self.source.uri}", f"output={self.output}", *SETTINGS, *others]
        names = [name for name in os.environ if name.startswith(("AWS_", "RAY_"))]
        inherited = {name: os.environ[name] for name in names}
        player = Player(every, stage, self.folder, {**inherited, **environment})
        self.players.append(player)
        self.note(f"{player.log.name} begins: {' '.join(words)} {stage} {environment}")
        return player

    def _act(self, parts: Sequence[Part], changes: Sequence[float], endpoint: str) -> None:
        """All parts at once, each with what happens to it."""
        began = time.monotonic()
        waiting, due, players = sorted(parts, key=lambda part: part.begins), list(changes), []
        while waiting or due or any(player.status is None for player, _ in players):
            now = time.monotonic() - began
            while waiting and waiting[0].begins <= now:
                part = waiting.pop(0)
                environment = {"AWS_ENDPOINT_URL": endpoint} if part.faulty else {}
                players.append((self._enter(part.words, part.stage, environment), list(part.signals)))
            if due and due[0] <= now:
                due.pop()
                self.note(self.source.change(self.rng))
            for player, signals in players:
                while signals and signals[0][0] <= now:
                    _, number = signals.pop(0)
                    self.note(f"{player.log.name} gets {number.name}")
                    player.signal(number)
                if not signals and now > 4 * LIFETIME:  # it may have stopped itself
                    player.signal(signal.SIGCONT)
            if now > PATIENCE:
                self.findings += [f"never ended: {player}" for player, _ in players if player.status is None]
                break
            time.sleep(0.02)

    def _alone(self, words: Sequence[str]) -> None:
        """A command that nobody disturbs ends well, given again for what others have left behind."""
        for _ in range(4):
            player = self._enter(
                words, Stage(host="here", lifetime=LIFETIME, ray=self.ray, report=self.ray), {}
            )
            status = player.wait(PATIENCE)
            self.note(str(player))
            if status == 0:
                return
            if status not in (1, 3):
                break
        self.findings.append(f"does not end well: {player}")

    def _finish(self) -> None:
        self._alone(["refresh"])
        self._alone(["vacuum", "grace=0s"])
        self._alone(["verify"])
        history = self._check()
        self.findings += history.newest_findings(
            [self.source.contents[tag] for tag in self.source.now.values()]
        )

    def _check(self) -> History:
        history = History(self.output, self.source.contents)
        self.findings += history.findings()
        self.note(f"versions: {history.writers}")
        for player in self.players:
            self.findings += [
                f"{found} ({player})" for found in witness_findings(player, history.committed())
            ]
        return history

    def close(self) -> None:
        """End what still goes, and empty the store; the logs go too if nothing was found."""
        for player in self.players:
            player.signal(signal.SIGKILL)
        if self.findings:
            self.note("\n".join(self.findings))
            keep(self.output, self.folder / "out")
            return
        shutil.rmtree(self.folder)
        for file in storage.list_files(self.prefix):
            storage.remove(file.uri)


def keep(output: str, folder: Path) -> None:
    """Keep what tells of an output's history: plans, lease, log, and the names of all files."""
    folder.mkdir()
    files = storage.list_files(output)
    (folder / "files").write_text("\n".join(f"{file.modified} {file.size} {file.uri}" for file in files))
    for file in files:
        if file.uri.endswith(".json") and "/ledger/" not in file.uri:
            name = file.uri.removeprefix(output).strip("/").replace("/", "__")
            (folder / name).write_bytes(storage.read_bytes(file.uri))


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A Ray for all runs that want one, with room for several of them at once."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 16, "include_dashboard": False})
    os.environ["RAY_ADDRESS"] = started.address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        ray.shutdown()  # whatever Ray runs in this process, its key-value store goes with a cluster
        started.shutdown()


def black_box(numbers: Sequence[int], seed: int, logs: Path, ray_every: int = 0) -> int:
    """Give so many runs in a store of their own; how many of them failed."""
    galaxies, failed, ends = cutout_table(0, 60), 0, Counter[str]()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(object_store(folder / "store", BUCKET))
        stack.enter_context(company())
        if ray_every:
            stack.enter_context(cluster())
        for number in numbers:
            began, ray = time.monotonic(), bool(ray_every) and number % ray_every == 0
            run = Performance(number, seed, logs / f"{seed}-{number}", galaxies, ray)
            try:
                run.give()
            finally:
                run.close()
            failed += bool(run.findings)
            ends.update(f"{player.words[0]} {player.status}" for player in run.players)
            print(f"run {number}: {len(run.players)} commands, {time.monotonic() - began:.0f} s", flush=True)
            for finding in run.findings:
                print(f"  {finding}", flush=True)
    print(f"{failed} of {len(numbers)} runs failed; {dict(sorted(ends.items()))}")
    return failed


def main() -> int:
    """Run it; 0 if nothing was lost, doubled, mixed or unreadable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="number of the first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, default=Path("build/black_box"), help="kept of runs that fail")
    parser.add_argument("--ray-every", type=int, default=0, metavar="N", help="every so many, by a real Ray")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.runs)
    return 1 if black_box(numbers, options.seed, options.logs.absolute(), options.ray_every) else 0


if __name__ == "__main__":
    sys.exit(main())
