"""The summary of a run: what it did, and the digests of what it left."""

from __future__ import annotations

from collections import Counter

from pydantic import Field, ValidationError

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.layout import RunLayout
from pipeline.protocol.ledger import Ledger, quarantine_counts
from pipeline.protocol.plan import Plan


class RunSummary(StrictModel):
    """What a run did.

    Attributes
    ----------
    replaced
        See `LedgerEntry`.
    seconds
        Wall-clock time; of the last attempt alone where the run was `resumed`.
    files
        sha256 of the files that the run leaves, by their place below the output (see
        `pipeline.catalogue.seal`); None in summaries of before there were such.
    checksum
        sha256 of all the rest.
    """

    run: str
    rows: int
    classified: int
    quarantined: dict[str, int]
    bytes_in: int
    seconds: float
    resumed: bool
    started: str
    replaced: dict[str, int] = Field(default_factory=dict)
    files: dict[str, str] | None = None
    checksum: str | None = None

    def with_checksum(self) -> RunSummary:
        """A copy of the summary with the checksum that goes with what it says."""
        return self.model_copy(update={"checksum": digest(self.model_dump(exclude={"checksum"}))})


def read_summary(output: str, plan: Plan) -> RunSummary:
    """Read the summary of a finished run.

    Raises
    ------
    InputError
        If its summary can't be read.
    """
    uri = RunLayout(output, plan.run).summary
    try:
        return RunSummary.model_validate_json(storage.read_bytes(uri))
    except ValidationError as error:
        raise InputError(f"{uri} is not a summary: {error.errors()[0]['msg']}") from error


def summarize(plan: Plan, ledger: Ledger, seconds: float, resumed: bool = False) -> RunSummary:
    """Count what a run did."""
    replaced: Counter[str] = Counter()
    for entry in ledger.values():
        replaced.update(entry.replaced)
    return RunSummary(
        run=plan.run,
        rows=sum(entry.rows for entry in ledger.values()),
        classified=sum(entry.classified for entry in ledger.values()),
        quarantined=dict(sorted(quarantine_counts(ledger).items())),
        replaced=dict(replaced),
        bytes_in=sum(shard.size for shard in plan.shards),
        seconds=round(seconds, 2),
        resumed=resumed,
        started=plan.created,
    )
