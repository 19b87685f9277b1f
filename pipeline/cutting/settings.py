"""What `tuningfork cut` takes."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.images import ColorMapping, FitsLayout
from pipeline.images.frame import FrameWidth
from pipeline.places import Output, SurveyFile
from pipeline.survey import SurveySettings, load_survey


class PositionColumns(StrictModel):
    """What the table of positions calls its columns.

    Attributes
    ----------
    object_id
        By default the first of the usual names that it has, such as ``object_id`` or ``objid``.
    ra, dec
        Degrees, ICRS; found in any letter case.
    """

    object_id: str | None = None
    ra: str = "ra"
    dec: str = "dec"


class CutConfig(StrictModel):
    """What `tuningfork cut` takes.

    Attributes
    ----------
    positions
        Table of objects: FITS, VOTable, CSV or Parquet.
    tiles
        Folder of the survey's images (any fsspec URI): FITS with a WCS, compressed or not.
    output
        Folder or prefix for the cutout set (any fsspec URI).
    survey
        Survey file: colours, extensions, masks, and the largest share of bad pixels.
    files
        How an image's file is named, such as ``frame-{band}-{tile}.fits.bz2``; with slashes, the folders
        above it too. Without it every FITS file is a tile that holds all bands.
    bands
        What the survey's bands are called in the files' names, where it's something else.
    extension
        Name or number of the image's extension, in place of the survey file's.
    masks
        Name of the masks' files, as `files`, where they have files of their own.
    variance
        Extension with the variance or the inverse variance, or the name of its files if that holds
        ``{tile}``. A pixel where it is not a number above 0 is bad.
    frame
        How wide each galaxy's frame is, by a column of the table or the same for all; by default as the
        survey file says. It can't be measured here.
    columns
        What the table calls its columns.
    """

    positions: str = Field(min_length=1)
    tiles: str = Field(min_length=1)
    output: Output = Field(min_length=1)
    survey: SurveyFile
    files: str | None = None
    bands: dict[str, str] = Field(default_factory=dict)
    extension: str | int | None = None
    masks: str | None = None
    variance: str | int | None = None
    frame: FrameWidth | None = None
    columns: PositionColumns = PositionColumns()

    @model_validator(mode="after")
    def _patterns(self) -> Self:
        for key in ("files", "masks", "variance"):
            pattern = getattr(self, key)
            if pattern is None or (key == "variance" and "{tile}" not in str(pattern)):
                continue
            rest = pattern.replace("{tile}", "", 1).replace("{band}", "", 1)
            if "{tile}" not in pattern or re.search(r"[{}]", rest):
                raise ValueError(f"{key} is {pattern!r}; expected one {{tile}} and at most one {{band}}")
            if self.files is None:
                raise ValueError(
                    f"{key} names files by their tile, and files doesn't say how tiles are named"
                )
        return self


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


def tile_survey(config: CutConfig) -> TileSurvey:
    """What the settings say of the survey's tiles.

    Raises
    ------
    InputError
        If there's no survey file, it has no colours, or frames have no width.
    """
    if config.survey is None:
        raise InputError("survey is null; name the survey file that says how fluxes become colours")
    settings = load_survey(config.survey)
    bands = settings.bands
    stray = sorted(config.bands.keys() - set(bands))
    if stray:
        raise InputError(f"bands has {stray[0]!r}; the survey {settings.name!r} has {', '.join(bands)}")
    frame = config.frame or settings.frame
    if frame is None or frame.measured:
        raise InputError(
            "nothing says how wide a galaxy's frame is before it is cut out; give frame.column=COLUMN of its "
            "Petrosian 90 % radius in arcseconds, or frame.arcsec=WIDTH for all"
        )
    own_files = isinstance(config.variance, str) and "{tile}" in config.variance
    return TileSurvey(
        settings=settings,
        frame=frame,
        files=config.files,
        masks=config.masks,
        variances=str(config.variance) if own_files else None,
        variance=None if own_files else config.variance,
        names={band: config.bands.get(band, band) for band in bands},
        extension=config.extension,
    )
