"""Where cutouts come from: a cutout set, or a survey's own files as its survey file tells."""

from pipeline.survey.formats import open_source, recognise
from pipeline.survey.settings import SurveySettings, load_survey
from pipeline.survey.source import Inventory, Source, check_identity, field_of, fingerprint_of, read_contents

__all__ = [
    "Inventory",
    "Source",
    "SurveySettings",
    "check_identity",
    "field_of",
    "fingerprint_of",
    "load_survey",
    "open_source",
    "read_contents",
    "recognise",
]
