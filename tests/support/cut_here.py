"""``tuningfork cut`` in one process, without a cluster: ``python -m tests.support.cut_here key=value …``."""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.arguments import configure
from jobs.ending import exit_status
from pipeline.cutouts import Survey
from pipeline.cutting.settings import CutConfig
from pipeline.run.cutting import cut_positions


def cut_here(*words: str, **settings: Path | str) -> Survey:
    """Cut, one unit after another."""
    given = [f"{name}={value}" for name, value in settings.items()]
    return cut_positions(configure(CutConfig, None, [*words, *given]), map)[0]


def _main() -> None:
    cut_here(*sys.argv[1:])


if __name__ == "__main__":
    sys.exit(exit_status(_main))
