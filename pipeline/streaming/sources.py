"""The source of a survey, whatever its cutouts are kept as: files of cutouts, or tiles to cut them from."""

from __future__ import annotations

from pipeline.survey import formats
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import Source


def open_source(survey: SurveySettings | None = None, index: str | None = None) -> Source:
    """The source of a survey whose format is known; a cutout shard set without a survey file.

    Parameters
    ----------
    index
        Folder of the indexes that a run keeps; None to make them anew.

    Raises
    ------
    InputError
        If the survey file lacks what the format needs.
    """
    if survey is not None and survey.tiles is not None:
        # astropy loads slowly, and other sources don't need it.
        from pipeline.cutting.source import TileSource

        return TileSource(survey, index)
    return formats.open_source(survey, index)
