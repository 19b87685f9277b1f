"""The runbook quotes the program's own messages, and gives commands that exist."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from jobs.cli import app
from tests.support.command import ROOT

RUNBOOK = (ROOT / "infra" / "RUNBOOK.md").read_text()
DOCUMENTS = sorted((ROOT / "infra").rglob("*.md"))
COMING = {"refresh", "submit"}
"""Verbs that may not be there yet."""


def texts() -> Iterator[str]:
    """All text of the program, what is filled in replaced by `…`."""
    for room in ("pipeline", "jobs"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield " ".join(node.value.split())
                elif isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    yield " ".join("".join(map(str, parts)).split())


@functools.cache
def everything() -> str:
    return "\n".join(texts())


def quoted() -> list[str]:
    return re.findall(r"^> (.+)$", RUNBOOK, re.MULTILINE)


def fragments(message: str) -> list[str]:
    return [part for part in (piece.strip(" ().:;") for piece in message.split("…")) if len(part) > 3]


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_the_programs(message: str) -> None:
    assert fragments(message)
    for fragment in fragments(message):
        assert fragment in everything()


def test_the_verbs_exist() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name} | COMING
    for document in DOCUMENTS:
        named = re.findall(r"(?<!-n )\btuningfork ([a-z]+)\b", "\n".join(code(document.read_text())))
        assert set(named) <= known, document


def code(text: str) -> list[str]:
    """Code blocks and spans of Markdown."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))]


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = document.read_text()
        anchors = {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in anchors, (document, target)
            else:
                assert (document.parent / target).exists(), (document, target)
