"""What verification came to, in one line."""

from __future__ import annotations

from pipeline.amounts import count, megabytes
from pipeline.upkeep.verify.output import Recount


def verdict(recount: Recount, findings: int) -> str:
    """What verification came to, in one line."""
    if findings:
        line = count(findings, "finding")
    else:
        line = (
            f"clean: {recount.rows:,} input rows = "
            f"{recount.classified:,} classified + {recount.quarantined:,} quarantined, "
            f"{count(recount.units, 'unit')}, {count(recount.files, 'file')}"
        )
        if recount.stale:
            line += f"; {recount.stale:,} stale beside them"
    if not recount.sealed:
        line += (
            "; made by a version that sealed nothing: what no count and no part tells would go unseen, until "
            "the next run seals it"
        )
    if recount.unfinished:
        line += (
            f"; run {recount.unfinished} is not finished, so the catalogue is still that of the run before it"
        )
    if recount.parts_removed:
        line += "; the run's parts were removed by `tuningfork vacuum`, so the catalogue stands for itself"
    if recount.orphans:
        size = megabytes(sum(file.size for file in recount.orphans))
        orphans = count(len(recount.orphans), "orphan")
        line += f"; {orphans}, {size}: `tuningfork vacuum` removes them"
    return line
