"""The catalogue: answers of every galaxy, its snapshots, commits, refreshes and exports. No torch."""

from pipeline.catalogue.commit import (
    commit_handlers,
    current_run,
    holds_columns,
    is_committed,
    is_finished,
    row_hashes,
)
from pipeline.catalogue.delta import load_table
from pipeline.catalogue.export import Exported, catalogue_dataset, export_catalogue
from pipeline.catalogue.refresh import RowHashes, changed_readings, changed_settings, same_source, select_rows
from pipeline.catalogue.rows import Uncertainty, answer_matrix, catalogue_rows
from pipeline.catalogue.schema import catalogue_schema, classes_digest, tree_digest
from pipeline.catalogue.table import read_state

__all__ = [
    "Exported",
    "RowHashes",
    "Uncertainty",
    "answer_matrix",
    "catalogue_dataset",
    "catalogue_rows",
    "catalogue_schema",
    "changed_readings",
    "changed_settings",
    "classes_digest",
    "commit_handlers",
    "current_run",
    "export_catalogue",
    "holds_columns",
    "is_committed",
    "is_finished",
    "load_table",
    "read_state",
    "row_hashes",
    "same_source",
    "select_rows",
    "tree_digest",
]
