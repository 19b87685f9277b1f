"""A survey's images as the input of a run: galaxies are cut out of them at their positions."""

from __future__ import annotations

from pipeline.cutting.settings import tile_survey
from pipeline.run.pictures import refuse_output_among
from pipeline.run.settings import StreamConfig
from pipeline.survey import SurveySettings
from pipeline.survey.settings import Columns, TileLayout


def survey_of_tiles(config: StreamConfig) -> SurveySettings:
    """The survey file that says all of the tiles and the positions.

    Parameters
    ----------
    config
        Settings with absolute paths, of which `tiles` is one.

    Raises
    ------
    InputError
        If there's no survey file, it has no colours, frames have no width, or the output is among the tiles.
    """
    refuse_output_among("tiles", config)
    tiles = tile_survey(config.survey, config)
    settings = tiles.settings
    return settings.model_copy(
        update={
            "frame": tiles.frame,
            "extension": settings.extension if config.extension is None else config.extension,
            "columns": Columns(**config.columns.model_dump()),
            "table": config.positions,
            "tiles": TileLayout(**{name: getattr(config, name) for name in TileLayout.model_fields}),
        }
    )
