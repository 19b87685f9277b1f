"""What keeps an output well: status, verify and vacuum."""

from pipeline.upkeep.status import RunStatus, output_status
from pipeline.upkeep.vacuum import parse_duration, vacuum_output
from pipeline.upkeep.verify import Finding, Recount, verify_output

__all__ = [
    "Finding",
    "Recount",
    "RunStatus",
    "output_status",
    "parse_duration",
    "vacuum_output",
    "verify_output",
]
