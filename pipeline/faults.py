"""Crash points: places where a test can have the run die, to show that nothing is lost there.

A point costs a dictionary look-up and does nothing unless ``TUNINGFORK_CRASH_AT`` names it.
"""

from __future__ import annotations

import os
import signal

CRASH_AT = "TUNINGFORK_CRASH_AT"
DRIVER_PID = "TUNINGFORK_DRIVER_PID"

POINTS = ("after_part", "after_ledger", "in_compaction", "after_commit", "after_report")
"""The points, in the order in which a run passes them: after a part is durable and before its ledger entry;
after the last ledger entry and before the commit; while parts are compacted; after the commit and before it
is acknowledged; after the report and before what a refresh tells of its changes, and the summary."""

VOTES_POINTS = ("after_vote_files", "after_votes")
"""Those of `tuningfork votes`: before the commit of its data files, and after it."""


def crash_point(name: str) -> None:
    """Kill the run's driver and this process, as a power cut would, if the environment asks for it here."""
    if os.environ.get(CRASH_AT) == name:
        driver = int(os.environ.get(DRIVER_PID, os.getpid()))
        os.kill(driver, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
