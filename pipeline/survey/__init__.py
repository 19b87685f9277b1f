"""Where cutouts come from: the canonical cutout table, other surveys' forms, detection in a field image."""

from pipeline.survey.contents import read_contents
from pipeline.survey.cutouts import CUTOUT_SCHEMA, check_columns, conform
from pipeline.survey.duplicates import duplicate_rows
from pipeline.survey.formats import open_source, recognise
from pipeline.survey.manifest import Survey, read_survey
from pipeline.survey.settings import SurveySettings, load_survey
from pipeline.survey.shards import list_shards, read_field, read_ids, read_rows
from pipeline.survey.source import Inventory, ShardInfo, Source, check_identity
from pipeline.survey.writer import ShardWriter

__all__ = [
    "CUTOUT_SCHEMA",
    "Inventory",
    "ShardInfo",
    "ShardWriter",
    "Source",
    "Survey",
    "SurveySettings",
    "check_columns",
    "check_identity",
    "conform",
    "duplicate_rows",
    "list_shards",
    "load_survey",
    "open_source",
    "read_contents",
    "read_field",
    "read_ids",
    "read_rows",
    "read_survey",
    "recognise",
]
