"""Mutations of a finished output: bytes, files, JSON values, rows and versions, one thing at a time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from deltalake import DeltaTable

KINDS = {
    "data file": r"catalogue/part-.*\.parquet",
    "version": r"catalogue/_delta_log/\d+\.json",
    "checkpoint": r"catalogue/_delta_log/\d+\.checkpoint\.parquet",
    "checkpoint's pointer": r"catalogue/_delta_log/_last_checkpoint",
    "lease": r"lease\.json",
    "lease's lock": r"\.lease\.json\.lock",
    "report": r"report\.html",
    "plan": r"runs/[^/]+/plan\.json",
    "config": r"runs/[^/]+/config\.yaml",
    "survey file": r"runs/[^/]+/survey\.yaml",
    "index": r"runs/[^/]+/index/.*",
    "ledger entry": r"runs/[^/]+/ledger/\d+\.json",
    "part": r"runs/[^/]+/parts/.*",
    "quarantine": r"runs/[^/]+/quarantine\.parquet",
    "summary": r"runs/[^/]+/summary\.json",
    "changes": r"runs/[^/]+/changes/.*",
    "marker of removed parts": r"runs/[^/]+/parts-removed\.json",
}
"""Every kind of file that an output has, by its place."""


@dataclass(frozen=True)
class Mutation:
    """One thing that is done to an output.

    Attributes
    ----------
    file
        The kind of file that it is done to. An ``earlier`` one is of another run than the one whose rows the
        catalogue holds; of versions there are later ones too, and such as a checkpoint has made needless.
    what
        The kind of thing that is done.
    detail
        Where exactly, to find it again.
    apply
        Does it.
    """

    file: str
    what: str
    detail: str
    apply: Callable[[Path], object]

    def __str__(self) -> str:
        return f"{self.file}: {self.what} ({self.detail})"


class Anatomy:
    """Which files an output has, and what each of them is."""

    def __init__(self, output: Path) -> None:
        table = DeltaTable(str(output / "catalogue"))
        written = [entry for entry in table.history() if "run" in entry]
        self._content, self._run = written[0]["version"], written[0]["run"]
        self._checkpoint = max(
            (int(path.name[:20]) for path in output.rglob("*.checkpoint.parquet")), default=0
        )
        self._live = {uri.rpartition("/")[2] for uri in table.file_uris()}
        self.files = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())

    def kind(self, place: str) -> str:
        """What a file is, by its place."""
        kind = next(kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, place))
        name = place.rpartition("/")[2]
        if kind == "version":
            return self._kind_of_version(int(name[:20]))
        other_run = place.startswith("runs/") and place.split("/")[1] != self._run
        return f"earlier {kind}" if other_run or (kind == "data file" and name not in self._live) else kind

    def _kind_of_version(self, version: int) -> str:
        if version < self._checkpoint:
            return "version before a checkpoint"
        if version == self._content:
            return "version"
        return "later version" if version > self._content else "earlier version"

    def twins(self, place: str) -> list[str]:
        """Other files of the same kind, whatever run they belong to."""
        pattern = next(pattern for pattern in KINDS.values() if re.fullmatch(pattern, place))
        return [other for other in self.files if other != place and re.fullmatch(pattern, other)]


def file_mutations(output: Path, random: Random, flips: int) -> Iterator[Mutation]:
    """Flipped bytes, cut, longer, missing, swapped and older files, and other values in those of JSON."""
    anatomy = Anatomy(output)
    for place in anatomy.files:
        data = (output / place).read_bytes()
        kind = anatomy.kind(place)
        for what, detail, changed in _byte_changes(data, random, flips):
            yield Mutation(kind, what, f"{place} {detail}", _writer(place, changed))
        yield Mutation(kind, "deleted", place, lambda folder, place=place: (folder / place).unlink())
        for twin in anatomy.twins(place):
            other = (output / twin).read_bytes()
            if other == data:
                continue
            older = kind != anatomy.kind(twin)
            yield Mutation(
                kind, "another run's" if older else "another's", f"{place} is {twin}", _writer(place, other)
            )
            if place < twin:
                yield Mutation(kind, "swapped", f"{place} and {twin}", _swapper(place, twin))
        if place.endswith(".json"):
            for detail, changed in json_changes(data, random):
                yield Mutation(kind, "value changed", f"{place} {detail}", _writer(place, changed))


def _byte_changes(data: bytes, random: Random, flips: int) -> Iterator[tuple[str, str, bytes]]:
    for _ in range(flips if data else 0):
        at, mask = random.randrange(len(data)), random.randrange(1, 256)
        yield "byte flipped", f"{at} by {mask:#x}", data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
    if data:
        at = random.randrange(len(data))
        yield "cut", f"at {at}", data[:at]
        yield "cut", "by one byte", data[:-1]
        yield "emptied", "", b""
    for name, tail in (
        ("a line", b"\n"),
        ("a zero", b"\0"),
        ("noise", random.randbytes(40)),
        ("itself", data),
    ):
        if tail:
            yield "appended", name, data + tail


def json_changes(data: bytes, random: Random) -> Iterator[tuple[str, bytes]]:
    """A JSON file, or one of a JSON value a line, with each of its values changed, and each left out."""
    lines = [json.loads(line) for line in data.splitlines()] if data.count(b"\n{") else [json.loads(data)]
    paths = [(number, *path) for number, line in enumerate(lines) for path in _paths(line)]
    for path in random.sample(paths, min(len(paths), 12)):
        for how, change in (("other", _other), ("left out", None)):
            changed = json.loads(json.dumps(lines))
            *above, key = path
            target: Any = changed
            for step in above:
                target = target[step]
            if change is None:
                del target[key]
            else:
                target[key] = change(target[key])
            detail = f"{'.'.join(map(str, path))} {how}"
            yield detail, "\n".join(json.dumps(line) for line in changed).encode()


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from ((key, *path) for path in _paths(inner)) if inner not in ({}, []) else [(key,)]
    else:
        yield ()


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1) if value else "x"
    return "x"


def _writer(place: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / place).write_bytes(data)

    return write


def _swapper(first: str, second: str) -> Callable[[Path], None]:
    def swap(folder: Path) -> None:
        shutil.move(folder / first, folder / "aside")
        shutil.move(folder / second, folder / first)
        shutil.move(folder / "aside", folder / second)

    return swap


def spread(mutations: Sequence[Mutation], count: int, random: Random) -> list[Mutation]:
    """Some of the mutations, as even as can be over the kinds of file and what is done to them."""
    piles: dict[tuple[str, str], list[Mutation]] = {}
    for mutation in random.sample(mutations, len(mutations)):
        piles.setdefault((mutation.file, mutation.what), []).append(mutation)
    chosen: list[Mutation] = []
    while piles and len(chosen) < count:
        for key in list(piles)[: count - len(chosen)]:
            chosen.append(piles[key].pop())
            if not piles[key]:
                del piles[key]
    return chosen
