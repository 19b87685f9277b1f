"""The tutorial's commands and code, as they stand in it: they run, and print what it says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import RAY_SETTINGS, ROOT, tuningfork_here

PAGE = ROOT / "docs" / "tutorial" / "first_catalogue.md"
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^:]+): [^\n]* -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)
NOT_HERE = "not in the test"
PROGRAM = ".venv/bin/tuningfork"
OF_THE_SHELL = re.compile(r"[|&;<>$*?~\\#`]")


@dataclass(frozen=True)
class Step:
    """What a reader types, and what the page says comes of it (nothing if it doesn't say)."""

    mark: str | None
    language: str
    text: str
    printed: str | None


def steps(page: str) -> Iterator[Step]:
    """The page's blocks in order; a block of text is what the one before it prints."""
    blocks = deque(BLOCK.finditer(page))
    while blocks:
        block = blocks.popleft()
        printed = blocks.popleft()["text"] if blocks and blocks[0]["language"] == "text" else None
        yield Step(block["mark"], block["language"], block["text"], printed)


def checkout(folder: Path) -> None:
    """What `make install` leaves, of the code under test."""
    program = folder / PROGRAM
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m jobs.cli "$@"\n')
    program.chmod(0o755)


def output_of(commands: str, folder: Path) -> str:
    """What commands print on standard output; a shell isn't needed for verbs and their words alone."""
    lines = commands.replace("\\\n", "").splitlines()
    if any(OF_THE_SHELL.search(line) or not line.startswith(f"{PROGRAM} ") for line in lines):
        return shell(commands, folder)
    done = [tuningfork_here(*shlex.split(line)[1:], cwd=folder) for line in lines]
    assert [one.returncode for one in done] == [0] * len(done), done
    return "".join(one.stdout for one in done)


def shell(commands: str, folder: Path) -> str:
    """What a shell's commands print on standard output."""
    environment = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(ROOT), **RAY_SETTINGS}
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(text: str) -> tuple[list[str], list[float]]:
    """Words and numbers of an output, sorted: neighbours change places where answers differ by little."""
    texts, numbers = [], []
    for word in text.split():
        try:
            numbers.append(float(word.strip("(),")))
        except ValueError:
            texts.append(word)
    return sorted(texts), sorted(numbers)


def run(page: str, folder: Path, left_out: set[str]) -> int:
    """Do as the page says, and compare; how many steps there were."""
    checkout(folder)
    names: dict[str, object] = {}
    done = [step for step in steps(page) if step.mark not in left_out]
    for step in done:
        if step.language == "sh":
            output = output_of(step.text, folder)
        else:
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(step.text, names)
            output = stream.getvalue()
        if step.printed is not None:
            texts, numbers = words(step.printed)
            assert words(output)[0] == texts, output
            assert words(output)[1] == pytest.approx(numbers, abs=0.02, rel=0.05), output
    return len(done)


def test_the_short_form_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(PAGE.read_text(encoding="utf-8"), tmp_path, {NOT_HERE, "long"}) >= 7
    assert len((tmp_path / "out" / "spirals.csv").read_text().splitlines()) > 20


@pytest.mark.long
def test_all_of_it_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(PAGE.read_text(encoding="utf-8"), tmp_path, {NOT_HERE}) >= 9


def test_a_shell_and_this_process_print_the_same(tmp_path: Path) -> None:
    checkout(tmp_path)
    command = f"{PROGRAM} --version\n"
    assert output_of(command, tmp_path) == shell(command, tmp_path)


def test_a_page_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run("```python\nprint('39 of', 116)\n```\n\n```text\n39 of 130\n```\n", tmp_path, set())
