"""Where cutouts come from: the canonical cutout table, shards of it, and detection in a field image."""

from pipeline.survey.contents import read_contents
from pipeline.survey.cutouts import CUTOUT_SCHEMA, check_columns, conform
from pipeline.survey.duplicates import duplicate_rows
from pipeline.survey.manifest import Survey, read_survey
from pipeline.survey.shards import ShardInfo, list_shards, read_field, read_ids, read_rows
from pipeline.survey.writer import ShardWriter

__all__ = [
    "CUTOUT_SCHEMA",
    "ShardInfo",
    "ShardWriter",
    "Survey",
    "check_columns",
    "conform",
    "duplicate_rows",
    "list_shards",
    "read_contents",
    "read_field",
    "read_ids",
    "read_rows",
    "read_survey",
]
