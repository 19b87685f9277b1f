"""The source of any survey: one of cutouts in files, or one of tiles that cutouts are cut from."""

from __future__ import annotations

from pipeline.survey import formats
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import Source


def open_source(survey: SurveySettings | None = None, index: str | None = None) -> Source:
    """The source of a survey: `TileSource` if its survey file has `tiles`, else that of its format.

    Parameters
    ----------
    survey, index
        See `pipeline.survey.formats.open_source`, which opens all but tiles.

    Raises
    ------
    InputError
        If the survey file lacks what tiles, or the format, need.
    """
    if survey is not None and survey.tiles is not None:
        # astropy loads slowly, and other sources don't need it.
        from pipeline.cutting.source import TileSource

        return TileSource(survey, index)
    return formats.open_source(survey, index)
