"""Every reason for which a row is set aside is one that readers are told of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pipeline.protocol.records.quarantine import QUARANTINE_REASONS

OF_POSITIONS = {"outside", "bad_position", "bad_size", "bad_object_id"}
"""Of rows of a table that nothing is cut for; what repeats an id is told as a run tells it."""


def reasons_in(source: str) -> set[str]:
    """Codes given to an error or ending, to a key ``reason`` of a row, or by a choice to a name `reason`."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ImageError", "_Ending"):
            found += node.args[:1]
        elif isinstance(node, ast.Dict):
            found += [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "reason"
            ]
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason":
            found += [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else []
    return {str(node.value) for node in found if isinstance(node, ast.Constant)}


def test_every_reason_in_the_sources_is_known() -> None:
    rooms = Path(__file__).resolve().parents[2] / "pipeline"
    reasons: dict[bool, set[str]] = {True: set(), False: set()}
    for path in rooms.rglob("*.py"):
        reasons[path.is_relative_to(rooms / "cutting")] |= reasons_in(path.read_text(encoding="utf-8"))
    of_cuts, of_runs = reasons[True], reasons[False]
    assert {"truncated", "duplicate_object_id", "bad_frame"} <= of_runs
    assert of_runs | of_cuts | OF_POSITIONS <= QUARANTINE_REASONS
    page = (rooms.parent / "docs" / "how-to" / "cut.md").read_text(encoding="utf-8")
    assert "damaged_tile" in of_cuts
    assert {f"`{reason}`" for reason in of_cuts | OF_POSITIONS} <= set(re.findall(r"`\w+`", page))
