"""What makes a run safe: plan, lease, ledger, commit and vacuum as decisions without input or output.

Each is a protocol in the sense of `pipeline.protocol.steps`; the rooms above carry them out on real stores.
"""

from pipeline.digest import digest
from pipeline.protocol.layout import RunLayout, catalogue_uri, report_uri
from pipeline.protocol.ledger import LedgerEntry
from pipeline.protocol.plan import Plan, PlannedShard, WorkUnit, make_plan
from pipeline.protocol.vacuum import Removal

__all__ = [
    "LedgerEntry",
    "Plan",
    "PlannedShard",
    "Removal",
    "RunLayout",
    "WorkUnit",
    "catalogue_uri",
    "digest",
    "make_plan",
    "report_uri",
]
