"""What `tuningfork cut` takes."""

from __future__ import annotations

from pydantic import Field

from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.images import ColorMapping, FitsLayout
from pipeline.images.frame import FrameWidth
from pipeline.places import Output, SurveyFile
from pipeline.survey import SurveySettings, load_survey
from pipeline.survey.settings import TileLayout


class PositionColumns(StrictModel):
    """Column names in the table of positions.

    Attributes
    ----------
    object_id
        By default the first of the usual names that the table has, such as ``object_id`` or ``objid``.
    ra, dec
        In degrees, ICRS; upper or lower case doesn't matter.
    """

    object_id: str | None = None
    ra: str = "ra"
    dec: str = "dec"


class TileSettings(TileLayout):
    """How a survey's images are stored, and how wide galaxies' frames on them are.

    Attributes
    ----------
    extension
        Name or number of the extension that holds the image; replaces the survey file's.
    frame
        How wide each galaxy's frame is: from a column of the table, or the same for all. By default as in the
        survey file. It can't be measured here.
    columns
        Column names in the table of positions.
    """

    extension: str | int | None = None
    frame: FrameWidth | None = None
    columns: PositionColumns = PositionColumns()


class CutConfig(TileSettings):
    """What `tuningfork cut` takes.

    Attributes
    ----------
    positions
        Table of positions: FITS, VOTable, CSV or Parquet.
    tiles
        Folder of the survey's images (any fsspec URI): FITS files with a WCS, compressed or not; or a HiPS of
        each band, with ``{band}`` in its name.
    output
        Folder or prefix for the cutout set (any fsspec URI).
    survey
        Survey file with the colours, extensions, masks, and the largest fraction of bad pixels.
    """

    positions: str = Field(min_length=1)
    tiles: str = Field(min_length=1)
    output: Output = Field(min_length=1)
    survey: SurveyFile


class TileSurvey(StrictModel):
    """How a survey keeps its tiles, and how they become pictures.

    Attributes
    ----------
    settings
        The survey file.
    frame
        How wide frames are.
    files, masks, variances
        Patterns of files' names; None where there are no such files.
    variance
        Extension with the variance, in the image's own file.
    names
        What each band is called in files' names.
    extension
        In place of the survey file's.
    """

    settings: SurveySettings
    frame: FrameWidth
    files: str | None
    masks: str | None
    variances: str | None
    variance: str | int | None
    names: dict[str, str]
    extension: str | int | None

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that are read, the one whose pixels all are brought to first."""
        return self.settings.bands

    @property
    def color(self) -> ColorMapping:
        """How three bands become red, green and blue."""
        assert self.settings.color is not None  # `tile_survey` has seen to it
        return self.settings.color

    @property
    def layout(self) -> FitsLayout:
        """Where a file keeps its images."""
        layout = self.settings.fits
        if self.extension is None:
            return layout
        return FitsLayout(self.extension, layout.planes, layout.mask, layout.mask_planes, layout.marks_good)

    @property
    def alone(self) -> bool:
        """Whether a file holds one band and no other."""
        return self.files is not None and "{band}" in self.files


def tile_survey(survey: str | None, tiles: TileSettings) -> TileSurvey:
    """How a survey keeps its tiles, by its survey file and the settings that complete it or take its place.

    Parameters
    ----------
    survey
        The survey file.
    tiles
        The settings.

    Raises
    ------
    InputError
        If there's no survey file, it has no colours, or frames have no width.
    """
    if survey is None:
        raise InputError("survey is null; name the survey file that says how fluxes become colours")
    settings = load_survey(survey)
    frame = tiles.frame or settings.frame
    if frame is None or frame.measured:
        raise InputError(
            "nothing says how wide a galaxy's frame is before it is cut out; give frame.column=COLUMN of its "
            "Petrosian 90 % radius in arcseconds, or frame.arcsec=WIDTH for all"
        )
    layout = TileLayout(files=tiles.files, bands=tiles.bands, masks=tiles.masks, variance=tiles.variance)
    return _tile_survey(settings, frame, layout, tiles.extension)


def stored_tiles(settings: SurveySettings) -> TileSurvey:
    """How a survey keeps its tiles, by a survey file that says it all.

    Raises
    ------
    InputError
        If it lacks the tiles, colours or the frame.
    """
    if settings.tiles is None or settings.table is None or settings.frame is None or settings.frame.measured:
        raise InputError(
            f"survey {settings.name!r} has tiles, and with them it needs a table of positions (table) and a "
            "frame by a column or in arcseconds"
        )
    return _tile_survey(settings, settings.frame, settings.tiles, None)


def _tile_survey(
    settings: SurveySettings, frame: FrameWidth, tiles: TileLayout, extension: str | int | None
) -> TileSurvey:
    bands = settings.bands
    stray = sorted(tiles.bands.keys() - set(bands))
    if stray:
        raise InputError(f"bands has {stray[0]!r}; the survey {settings.name!r} has {', '.join(bands)}")
    own_files = isinstance(tiles.variance, str) and "{tile}" in tiles.variance
    return TileSurvey(
        settings=settings,
        frame=frame,
        files=tiles.files,
        masks=tiles.masks,
        variances=str(tiles.variance) if own_files else None,
        variance=None if own_files else tiles.variance,
        names={band: tiles.bands.get(band, band) for band in bands},
        extension=extension,
    )
