"""The catalogue: answers of every galaxy, its snapshots, commits, refreshes and exports. No torch."""

from pipeline.catalogue.commit import (
    adopt_plan,
    commit_handlers,
    commit_run,
    current_run,
    holds_columns,
    is_committed,
    is_finished,
    known_rows,
)
from pipeline.catalogue.delta import open_catalogue
from pipeline.catalogue.export import Exported, catalogue_dataset, export_catalogue
from pipeline.catalogue.refresh import Known, changed_settings, same_source, select_rows
from pipeline.catalogue.rows import answer_matrix, catalogue_rows
from pipeline.catalogue.schema import catalogue_schema, tree_digest
from pipeline.catalogue.table import read_state

__all__ = [
    "Exported",
    "Known",
    "adopt_plan",
    "answer_matrix",
    "catalogue_dataset",
    "catalogue_rows",
    "catalogue_schema",
    "changed_settings",
    "commit_handlers",
    "commit_run",
    "current_run",
    "export_catalogue",
    "holds_columns",
    "is_committed",
    "is_finished",
    "known_rows",
    "open_catalogue",
    "read_state",
    "same_source",
    "select_rows",
    "tree_digest",
]
