"""Where everything of an output lies."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline import storage


@dataclass(frozen=True)
class RunLayout:
    """URIs of one run under an output.

    Attributes
    ----------
    output
        What the user named; holds the catalogue and the report of all its runs.
    run
        Identifier of the run.
    """

    output: str
    run: str

    @property
    def folder(self) -> str:
        """Everything that belongs to this run alone."""
        return storage.join(runs_folder(self.output), self.run)

    @property
    def plan(self) -> str:
        """The plan, written once."""
        return storage.join(self.folder, "plan.json")

    @property
    def ledger(self) -> str:
        """Folder of ledger entries, one a finished unit."""
        return storage.join(self.folder, "ledger")

    @property
    def parts(self) -> str:
        """Folder of parts, one a finished unit: rows for the catalogue and, apart, quarantined rows."""
        return storage.join(self.folder, "parts")

    @property
    def parts_removed(self) -> str:
        """There once `vacuum` was asked to remove the parts of this run, which is committed."""
        return storage.join(self.folder, "parts-removed.json")

    @property
    def index(self) -> str:
        """Folder of the indexes that find rows in input shards which have no index of their own."""
        return storage.join(self.folder, "index")

    @property
    def survey(self) -> str:
        """The survey file as the run used it; absent if it was given none."""
        return storage.join(self.folder, "survey.yaml")

    @property
    def quarantine(self) -> str:
        """All quarantined rows of the run in one Parquet file, there when the run is committed."""
        return storage.join(self.folder, "quarantine.parquet")

    @property
    def changes(self) -> str:
        """Folder of the page that tells what a refresh changed, with its tables and figures."""
        return storage.join(self.folder, "changes")

    @property
    def summary(self) -> str:
        """What the run did, written last: a run that has it is committed and has its report."""
        return storage.join(self.folder, "summary.json")


def runs_folder(output: str) -> str:
    """Folder of all runs of an output."""
    return storage.join(output, "runs")


def catalogue_uri(output: str) -> str:
    """The Delta table of an output."""
    return storage.join(output, "catalogue")


def report_uri(output: str) -> str:
    """The report of an output."""
    return storage.join(output, "report.html")


def is_part(uri: str) -> bool:
    """Whether a file has the name of a part or of a unit's quarantined rows."""
    return re.fullmatch(r"\d{8}-[0-9a-f]{8}(-rejects)?\.parquet", storage.name(uri)) is not None


def is_temporary(uri: str) -> bool:
    """Whether a file has the name under which a write of ours begins: ``.NAME.xxxxxxxx``."""
    name = r"\.(clock|.+\.(json|yaml|html|csv|parquet|png|svg))\.[a-z0-9_]{8}"
    return re.fullmatch(name, storage.name(uri)) is not None
