"""The canonical cutout table: its shards, how they are written, and what is made into them."""

from pipeline.cutouts.duplicates import duplicate_rows
from pipeline.cutouts.manifest import Survey, read_survey
from pipeline.cutouts.reading import ShardInfo
from pipeline.cutouts.shards import list_shards, read_field, read_ids, read_rows
from pipeline.cutouts.table import CUTOUT_SCHEMA, check_columns, conform
from pipeline.cutouts.writer import ShardWriter

__all__ = [
    "CUTOUT_SCHEMA",
    "ShardInfo",
    "ShardWriter",
    "Survey",
    "check_columns",
    "conform",
    "duplicate_rows",
    "list_shards",
    "read_field",
    "read_ids",
    "read_rows",
    "read_survey",
]
