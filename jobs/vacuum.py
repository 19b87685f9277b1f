"""Vacuum: remove what no run of an output needs."""

from __future__ import annotations

from pydantic import field_validator

from pipeline.amounts import count
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import TablePlace
from pipeline.protocol import Removal
from pipeline.protocol.vacuum import Options
from pipeline.upkeep import parse_duration, vacuum_output


class VacuumConfig(StrictModel):
    """What `tuningfork vacuum` takes.

    Attributes
    ----------
    output
        The output of `classify`.
    grace
        Files younger than this are kept: ``90m``, ``24h``, ``7d``.
    parts
        Also remove the parts of committed runs. The catalogue doesn't need them, but `verify` can then no
        longer compare its rows with them.
    history
        Also remove files that only older snapshots need, once they are past the table's retention time (a
        week unless the table says otherwise). Those snapshots can then no longer be read.
    """

    output: TablePlace
    grace: str = "24h"
    parts: bool = False
    history: bool = False

    @field_validator("grace")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


def run(config: VacuumConfig, dry_run: bool = False) -> None:
    """Remove orphans, leftovers and superseded files, and say what and how many bytes.

    Raises
    ------
    InputError
        If `output` is no output of `classify`.
    HeldError
        If a run works on it.
    """
    options = Options(parse_duration(config.grace).total_seconds(), config.parts, config.history, dry_run)
    removals = vacuum_output(config.output, options, lambda removal: say(_line(removal)))
    if dry_run:
        for removal in removals:
            say(_line(removal))
    files, size = sum(len(removal.files) for removal in removals), sum(removal.bytes for removal in removals)
    did = "would remove" if dry_run else "removed"
    say(f"vacuum: {did} {_size(files, size)}" + ("; nothing was removed" if dry_run else ""))


def _line(removal: Removal) -> str:
    if not removal.files:
        return f"{removal.about}: {removal.what}"
    first = removal.files[0].uri + (" …" if len(removal.files) > 1 else "")
    return f"{removal.about}: {_size(len(removal.files), removal.bytes)}, {removal.what} ({first})"


def _size(files: int, size: int) -> str:
    return f"{count(files, 'file')}, {count(size, 'byte')}"
