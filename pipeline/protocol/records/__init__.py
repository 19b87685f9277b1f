"""What a run writes down in its store: the lease, plans, ledger entries, the quarantine, the summary."""

from pipeline.protocol.records.lease import Lease, LeaseKeeper, hold_lease
from pipeline.protocol.records.ledger import read_ledger, record_unit
from pipeline.protocol.records.plans import plan_handlers, read_plans
from pipeline.protocol.records.quarantine import QUARANTINE_SCHEMA, read_quarantine
from pipeline.protocol.records.summary import RunSummary, read_summary, summarize

__all__ = [
    "QUARANTINE_SCHEMA",
    "Lease",
    "LeaseKeeper",
    "RunSummary",
    "hold_lease",
    "plan_handlers",
    "read_ledger",
    "read_plans",
    "read_quarantine",
    "read_summary",
    "record_unit",
    "summarize",
]
