"""Measure a machine's GPU, part by part: ``python -m tests.benchmarks.gpu OUT [--seconds 480] [--small]``.

Needs torch, but no Ray. Each part runs in a process of its own, so that the others go on where one fails, or
breaks the GPU's context. What was measured is in ``OUT/gpu.json`` after every part, with a picture beside it.
On a machine without a GPU, ``--small`` runs all of it on the CPU, to see that it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.parts import PARTS
from tests.support.command import ROOT

_LEAST_SECONDS = 15.0
_SLOWER_HERE = 4
"""The limits of parts are a GPU's; a CPU that interprets kernels takes longer, also for little."""


def main() -> None:
    """Run the parts in order, as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=480.0, help="for all parts together")
    parser.add_argument("--small", action="store_true", help="a few galaxies: whether everything runs")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    results: dict[str, Any] = {}
    for name in options.parts:
        results[name] = run_part(name, options.out, options.small, end - time.monotonic())
        (options.out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    failed = [name for name, result in results.items() if "failed" in result]
    draw(results, options.out / "gpu.png")
    print(f"{len(results) - len(failed)} of {len(results)} parts measured; {options.out / 'gpu.json'}")
    sys.exit(1 if failed else 0)


def run_part(name: str, folder: Path, small: bool, seconds: float) -> dict[str, Any]:
    """What a part measured, or why it didn't."""
    if seconds < _LEAST_SECONDS:
        return {"failed": "no time was left"}
    written = folder / f"{name}.json"
    written.unlink(missing_ok=True)
    words = [sys.executable, "-m", "tests.benchmarks.gpu.parts", name, str(written), *["small"] * small]
    log = folder / f"{name}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        part = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        limit = min(seconds, PARTS[name].seconds * (_SLOWER_HERE if small else 1))
        try:
            status = part.wait(limit)
            why = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            why = f"took more than {limit:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.pid, signal.SIGKILL)  # with all that it started
            part.wait()
    # A part writes what it has as it goes.
    result: dict[str, Any] = json.loads(written.read_text()) if written.exists() else {}
    if why:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        result["failed"] = ": ".join([why, *last])
    return result | {"seconds": round(time.monotonic() - started, 1)}


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the picture; not where there is no matplotlib."""
    try:
        from tests.benchmarks.gpu.picture import roofline
    except ModuleNotFoundError as error:
        print(f"no picture: {error}")
        return
    if any(results.get("rates", {}).get("networks", {}).values()):
        roofline(results, path)


if __name__ == "__main__":
    main()
