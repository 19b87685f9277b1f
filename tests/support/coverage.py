"""What the tests pass through, by room: ``python -m tests.support.coverage``, after ``coverage combine``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

COUNTED = ("num_statements", "num_branches", "covered_lines", "covered_branches")


def room(path: str) -> str:
    """The room that a file is in; a module that stands alone is one of its own."""
    return "/".join(Path(path).parts[:2])


def main() -> None:
    """Print a line for each room: statements, branches, and the share of both that some test passes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "coverage.json")
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(out)], check=True)
        files = json.loads(out.read_text(encoding="utf-8"))["files"]
    counts: dict[str, Counter[str]] = {}
    for path, report in files.items():
        summary = report["summary"]
        counts.setdefault(room(path), Counter()).update({name: summary[name] for name in COUNTED})
    counts["all"] = sum(counts.values(), Counter())
    print(f"{'room':<28}{'statements':>11}{'branches':>10}{'passed':>9}")
    for name, count in counts.items():
        of = count["num_statements"] + count["num_branches"]
        passed = count["covered_lines"] + count["covered_branches"]
        print(
            f"{name:<28}{count['num_statements']:>11,}{count['num_branches']:>10,}{passed / max(of, 1):>9.1%}"
        )


if __name__ == "__main__":
    main()
