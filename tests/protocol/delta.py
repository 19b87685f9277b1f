"""A model of a Delta table's log: versions, what they name, and which commits the Delta library lets through.

`test_delta.py` holds it against the library itself, on random histories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["append", "overwrite"]


@dataclass(frozen=True)
class Version:
    """One version of a table.

    Attributes
    ----------
    files
        Names of the data files that it holds.
    added, removed
        What it changed.
    transactions
        The newest of each application, this version's and all before it.
    run
        The run that wrote it, as its commit's information says.
    fence
        Whether it says that it changes no row.
    restored
        Whether it restored an earlier one; it then states the table's protocol anew.
    written
        When, by the store's clock.
    """

    files: frozenset[str]
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    transactions: Mapping[str, int] = field(default_factory=dict)
    run: str | None = None
    fence: bool = False
    restored: bool = False
    written: float = 0.0

    @property
    def changes_rows(self) -> bool:
        """Whether a run wrote it, or it changes the files."""
        return bool(self.run or self.added or self.removed)


class Conflict(Exception):
    """The library refuses a commit."""


@dataclass
class Log:
    """The versions of a table, from 0."""

    versions: list[Version] = field(default_factory=list)

    def create(self, written: float = 0.0) -> bool:
        """Write version 0, empty; False if it is there."""
        if self.versions:
            return False
        self.versions.append(Version(frozenset(), written=written))
        return True

    def commit(
        self,
        read: int,
        mode: Mode,
        files: frozenset[str],
        transactions: Mapping[str, int],
        run: str | None = None,
        fence: bool = False,
        written: float = 0.0,
        rebase: bool = False,
    ) -> int:
        """Write a version by a writer who has read version `read`.

        Parameters
        ----------
        rebase
            Whether the library may write it as a later version than the one after `read`: what it does by
            default, if its conflict checks find nothing in between; else only that version will do.

        Returns
        -------
        int
            The version.

        Raises
        ------
        Conflict
            If it isn't written.
        """
        between = self.versions[read + 1 :]
        removed = self.versions[read].files if mode == "overwrite" else frozenset[str]()
        if between and not rebase:
            raise Conflict("another version was written")
        for version, before in zip(between, self.versions[read:], strict=False):
            changed = {
                name for name, value in version.transactions.items() if before.transactions.get(name) != value
            }
            if changed & transactions.keys():
                raise Conflict("concurrent transaction")
            if version.restored:
                raise Conflict("protocol changed")
            if version.removed & removed:
                raise Conflict("concurrent delete")
        newest = self.versions[-1]
        self.versions.append(
            Version(
                (newest.files - removed) | files,
                files,
                removed,
                {**newest.transactions, **transactions},
                run,
                fence,
                written=written,
            )
        )
        return len(self.versions) - 1

    def restore(self, to: int, written: float = 0.0) -> int:
        """Write a version that holds what an earlier one did; transactions stay."""
        newest, files = self.versions[-1], self.versions[to].files
        self.versions.append(
            Version(
                files,
                files - newest.files,
                newest.files - files,
                newest.transactions,
                restored=True,
                written=written,
            )
        )
        return len(self.versions) - 1
