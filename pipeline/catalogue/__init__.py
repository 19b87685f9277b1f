"""The catalogue of a run: plan, ledger, quarantine, commit, export, verify, status and vacuum. No torch."""

from pipeline.catalogue.commit import (
    RunSummary,
    commit_run,
    is_committed,
    last_committed,
    last_epoch,
    summarize,
)
from pipeline.catalogue.export import Exported, catalogue_dataset, export_catalogue
from pipeline.catalogue.fingerprint import digest
from pipeline.catalogue.layout import RunLayout, catalogue_uri, report_uri
from pipeline.catalogue.lease import Lease, hold_lease
from pipeline.catalogue.ledger import LedgerEntry, read_ledger, record_unit
from pipeline.catalogue.plan import (
    Plan,
    PlannedShard,
    WorkUnit,
    adopt_plan,
    find_run,
    make_plan,
    read_plans,
)
from pipeline.catalogue.quarantine import read_quarantine
from pipeline.catalogue.refresh import Known, changed_settings, same_source, select_rows
from pipeline.catalogue.rows import answer_matrix, catalogue_rows
from pipeline.catalogue.schema import QUARANTINE_SCHEMA, catalogue_schema, tree_digest
from pipeline.catalogue.snapshot import open_catalogue
from pipeline.catalogue.status import RunStatus, output_status
from pipeline.catalogue.vacuum import Removal, apply_removal, find_removals, parse_duration
from pipeline.catalogue.verify import Recount, verify_output
from pipeline.catalogue.verify_files import Finding

__all__ = [
    "QUARANTINE_SCHEMA",
    "Exported",
    "Finding",
    "Known",
    "Lease",
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
    "apply_removal",
    "catalogue_dataset",
    "catalogue_rows",
    "catalogue_schema",
    "catalogue_uri",
    "changed_settings",
    "commit_run",
    "digest",
    "export_catalogue",
    "find_removals",
    "find_run",
    "hold_lease",
    "is_committed",
    "last_committed",
    "last_epoch",
    "make_plan",
    "open_catalogue",
    "output_status",
    "parse_duration",
    "read_ledger",
    "read_plans",
    "read_quarantine",
    "record_unit",
    "report_uri",
    "same_source",
    "select_rows",
    "summarize",
    "tree_digest",
    "verify_output",
]
