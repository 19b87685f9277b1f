"""Uploads that are killed: ``python -m tests.faults.zooniverse --subjects 10000 --kills 50``.

Sends subjects to a Panoptes of this machine's own, at which a tenth of the requests go wrong in one way or
another, and kills the sending process at random moments, each time to begin again by the same command. In
the end every galaxy must be one subject, in the set, with its picture, and there must be no other.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.harness import Run, running
from tests.support.panoptes import Panoptes, check_once, panoptes, write_subjects
from tests.support.panoptes_server import PROJECT, WORKFLOW

WORDS = [
    "zooniverse",
    "push",
    "subjects",
    f"project={PROJECT}",
    f"workflow={WORKFLOW}",
    "patience=2",
    "threads=16",
]


def main() -> int:
    """Run it; 0 if each galaxy is there once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--faults", type=float, default=0.1, help="the share of requests that go wrong")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    print(
        f"seed {options.seed}: {options.subjects} subjects, {options.kills} kills, "
        f"{options.faults:.0%} faults",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder, panoptes() as server:
        server.behave(faults={"rate": options.faults, "seed": options.seed, "seconds": 1.2})
        pushed_and_killed(Path(folder), server, options.subjects, options.kills, random.Random(options.seed))
    return 0


def pushed_and_killed(folder: Path, server: Panoptes, subjects: int, kills: int, rng: random.Random) -> None:
    """Push subjects until they are there, with so many kills on the way, and check that each is there once.

    Raises
    ------
    AssertionError
        If one isn't, or there are others.
    """
    write_subjects(folder / "subjects", subjects)
    started = time.monotonic()
    killed = attempts = 0
    status = 1
    while status:
        attempts += 1
        with running(WORDS, folder, server.environment()) as run:
            if killed < kills and _killed(run, server, subjects, kills - killed, rng):
                killed += 1
                print(f"kill {killed}: {server.count()} subjects made, {_seconds(started)}", flush=True)
                continue
            status = run.wait(3600)
            # 1: the Zooniverse wasn't well for long, or the attempt before had a request under way
            assert status in (0, 1), run.text()
    state = server.state()
    check_once(state, subjects, WORKFLOW)
    print(
        f"{len(state['subjects'])} subjects, each once; {killed} kills, {attempts} commands, "
        f"{_seconds(started)}; {state['removed']} made twice and removed; "
        f"faults {state['faults']}; requests {state['requests']}",
        flush=True,
    )


def _killed(run: Run, server: Panoptes, subjects: int, kills_left: int, rng: random.Random) -> bool:
    """Kill a push at a random moment, before all is sent; False if it ended first."""
    made = server.count()
    until = made + rng.uniform(0, 2) * max(subjects - made, 0) / (kills_left + 1)
    while run.process.poll() is None and server.count() < until:
        time.sleep(0.1)
    time.sleep(rng.uniform(0, 0.5))
    if run.process.poll() is not None:
        return False
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    return True


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:,.0f} s"


if __name__ == "__main__":
    sys.exit(main())
