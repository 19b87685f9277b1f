"""The catalogue of a run: plan, ledger, quarantine, commit and export. Knows Parquet, no torch."""

from pipeline.catalogue.commit import (
    RunSummary,
    commit_run,
    is_committed,
    open_catalogue,
    summarize,
)
from pipeline.catalogue.export import catalogue_dataset, export_catalogue
from pipeline.catalogue.layout import RunLayout, catalogue_uri, report_uri
from pipeline.catalogue.lease import Lease, hold_lease
from pipeline.catalogue.ledger import LedgerEntry, read_ledger, record_unit
from pipeline.catalogue.plan import Plan, PlannedShard, WorkUnit, adopt_plan, digest, find_run, make_plan
from pipeline.catalogue.rows import answer_matrix, catalogue_rows
from pipeline.catalogue.schema import QUARANTINE_SCHEMA, catalogue_schema

__all__ = [
    "QUARANTINE_SCHEMA",
    "Lease",
    "LedgerEntry",
    "Plan",
    "PlannedShard",
    "RunLayout",
    "RunSummary",
    "WorkUnit",
    "adopt_plan",
    "answer_matrix",
    "catalogue_dataset",
    "catalogue_rows",
    "catalogue_schema",
    "catalogue_uri",
    "commit_run",
    "digest",
    "export_catalogue",
    "find_run",
    "hold_lease",
    "is_committed",
    "make_plan",
    "open_catalogue",
    "read_ledger",
    "record_unit",
    "report_uri",
    "summarize",
]
