"""The catalogue of a run: plan, ledger, quarantine, commit, export, verify, status and vacuum. No torch."""

from pipeline.catalogue.commit import (
    RunSummary,
    adopt_plan,
    commit_handlers,
    commit_run,
    current_run,
    holds_columns,
    is_committed,
    known_rows,
    read_summary,
    summarize,
)
from pipeline.catalogue.export import Exported, catalogue_dataset, export_catalogue
from pipeline.catalogue.lease import Lease, LeaseKeeper, hold_lease
from pipeline.catalogue.ledger import read_ledger, record_unit
from pipeline.catalogue.plans import plan_handlers, read_plans
from pipeline.catalogue.quarantine import read_quarantine
from pipeline.catalogue.refresh import Known, changed_settings, same_source, select_rows
from pipeline.catalogue.rows import answer_matrix, catalogue_rows
from pipeline.catalogue.schema import QUARANTINE_SCHEMA, catalogue_schema, tree_digest
from pipeline.catalogue.snapshot import open_catalogue
from pipeline.catalogue.status import RunStatus, output_status
from pipeline.catalogue.table import read_state
from pipeline.catalogue.vacuum import parse_duration, vacuum_output
from pipeline.catalogue.verify import Recount, verify_output
from pipeline.catalogue.verify_files import Finding
from pipeline.protocol.fingerprint import digest
from pipeline.protocol.layout import RunLayout, catalogue_uri, report_uri
from pipeline.protocol.ledger import LedgerEntry
from pipeline.protocol.plan import Plan, PlannedShard, WorkUnit, make_plan
from pipeline.protocol.vacuum import Removal

__all__ = [
    "QUARANTINE_SCHEMA",
    "Exported",
    "Finding",
    "Known",
    "Lease",
    "LeaseKeeper",
    "LedgerEntry",
    "Plan",
    "PlannedShard",
    "Recount",
    "Removal",
    "RunLayout",
    "RunStatus",
    "RunSummary",
    "WorkUnit",
    "adopt_plan",
    "answer_matrix",
    "catalogue_dataset",
    "catalogue_rows",
    "catalogue_schema",
    "catalogue_uri",
    "changed_settings",
    "commit_handlers",
    "commit_run",
    "current_run",
    "digest",
    "export_catalogue",
    "hold_lease",
    "holds_columns",
    "is_committed",
    "known_rows",
    "make_plan",
    "open_catalogue",
    "output_status",
    "parse_duration",
    "plan_handlers",
    "read_ledger",
    "read_plans",
    "read_quarantine",
    "read_state",
    "read_summary",
    "record_unit",
    "report_uri",
    "same_source",
    "select_rows",
    "summarize",
    "tree_digest",
    "vacuum_output",
    "verify_output",
]
