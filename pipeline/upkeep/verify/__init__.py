"""Whether an output holds what its runs left there: every input row once, every file as it was sealed."""

from pipeline.upkeep.verify.files import Finding
from pipeline.upkeep.verify.output import Recount, verify_output

__all__ = ["Finding", "Recount", "verify_output"]
