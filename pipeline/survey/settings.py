"""The survey file: how a survey keeps its cutouts, and how they become the pictures that are classified."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.config import StrictModel, parse_yaml, validate
from pipeline.errors import InputError
from pipeline.images import ColorMapping, FitsLayout
from pipeline.images.detection import DetectionCriteria
from pipeline.images.frame import FrameWidth

Format = Literal["parquet", "multimodal", "webdataset", "hdf5", "images", "fits"]


class Columns(StrictModel):
    """Where a galaxy's id, position and image are: columns of a table, datasets of HDF5, keys of JSON.

    Attributes
    ----------
    object_id, ra, dec
        By default those of the same name, if they exist. Otherwise, a file's id is its name without
        extension, and the position of a FITS image is that of its centre.
    image
        Column of a Parquet table with the image.
    flux
        Array with the flux of a band (MultimodalUniverse), or dataset of shape (galaxies, bands, height,
        width) (HDF5).
    """

    object_id: str | None = None
    ra: str | None = None
    dec: str | None = None
    image: str = "image"
    flux: str = "flux"


class Mask(StrictModel):
    """Which pixels are bad, besides those that aren't finite.

    Attributes
    ----------
    name
        Extension (FITS; ``{band}`` stands for the band), dataset (HDF5) or array of a band
        (MultimodalUniverse) that holds the mask.
    planes
        Bits of the mask that count, by number or by their name in the mask's header (``MP_<name>``, as in
        Rubin's); all bits if empty.
    marks
        Whether set bits mark bad pixels, or good ones.
    """

    name: str | int
    planes: tuple[int | str, ...] = ()
    marks: Literal["bad", "good"] = "bad"


class TileLayout(StrictModel):
    """How the files of a survey's images are named, if galaxies are cut out of them by position.

    Attributes
    ----------
    files
        Pattern of the image files' names, such as ``frame-{band}-{tile}.fits.bz2``. It may contain slashes,
        for the folders above. Without it, every FITS file is a tile that holds all bands.
    bands
        Names of the survey's bands in file names, where these differ.
    masks
        Pattern of the mask files' names, as in `files`, if masks are separate files.
    variance
        Extension with the variance or the inverse variance; or the pattern of separate files, if it contains
        ``{tile}``. Pixels where it isn't a number above 0 are bad.
    """

    files: str | None = None
    bands: dict[str, str] = Field(default_factory=dict)
    masks: str | None = None
    variance: str | int | None = None

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


class SurveySettings(StrictModel):
    """What a survey file holds.

    Attributes
    ----------
    name
        Name of the survey.
    format
        Format of the cutouts; by default recognised from the input.
    color
        How three bands become a colour picture; required if the data are fluxes.
    planes
        Bands along the axis of an array that holds several (HDF5, FITS cubes), in order.
    extension
        FITS: name or number of the extension with the image, or a mapping from bands to these; ``{band}`` in
        a name stands for the band. By default, the extension that is named like the band, or whose header has
        the band as BAND or FILTER; in a file of a single band IMAGE, SCI, or else the first image.
    pixel_scale
        Arcseconds per pixel, for images that don't say.
    frame
        How wide the frame is; by default what the table says in a column ``frame_pixels``, or else the whole
        image.
    recentre
        Whether to centre the frame on the source that is nearest to the middle of the image; if none is
        found, it stays.
    detection
        What counts as a source, for `recentre` and for a measured frame.
    mask
        Which pixels are bad. They are replaced by the nearest good pixel of their band.
    most_bad
        A galaxy is quarantined if a larger fraction of its pixels is bad in any band.
    files
        FITS: pattern of the name of a galaxy's file, such as ``{object_id}.fits``, or of its file in each
        band, such as ``{object_id}-{band}.fits``.
    files_per_shard
        If each galaxy is a file: at most how many galaxies form a shard.
    table
        If each galaxy is a file: CSV with further columns, matched by id. With `tiles`, the table of
        positions.
    tiles
        If given, galaxies are cut out of a survey's images at the positions in `table`.
    """

    name: str
    format: Format | None = None
    columns: Columns = Columns()
    color: ColorMapping | None = None
    planes: tuple[str, ...] = ()
    extension: str | int | dict[str, str | int] | None = None
    pixel_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    frame: FrameWidth | None = None
    recentre: bool = False
    detection: DetectionCriteria = DetectionCriteria()
    mask: Mask | None = None
    most_bad: float = Field(default=0.1, ge=0, le=1)
    files: str | None = None
    files_per_shard: int = Field(default=1024, gt=0)
    table: str | None = None
    tiles: TileLayout | None = Field(default=None, exclude_if=lambda tiles: tiles is None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bands = set(self.color.bands) if self.color else set()
        absent = bands - set(self.planes) if self.planes else set()
        if absent:
            raise ValueError(
                f"color.bands has {min(absent)!r}, which planes ({', '.join(self.planes)}) lacks"
            )
        if isinstance(self.extension, dict) and bands - self.extension.keys():
            raise ValueError(
                f"extension lacks the band {min(bands - self.extension.keys())!r} of color.bands"
            )
        if self.files is not None and (
            self.files.count("{object_id}") != 1
            or self.files.count("{band}") > 1
            or re.search(r"[{}]", self.files.replace("{object_id}", "").replace("{band}", ""))
        ):
            raise ValueError(f"files is {self.files!r}; expected one {{object_id}} and at most one {{band}}")
        return self

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that are read, each once.

        Raises
        ------
        InputError
            If the file has no ``color``.
        """
        if self.color is None:
            raise InputError(
                f"survey {self.name!r} has no color, which fluxes need: give color.bands, stretch and Q "
                "in the survey file (see configs/surveys)"
            )
        return tuple(dict.fromkeys(self.color.bands))

    @property
    def needs_pixels(self) -> bool:
        """Whether a galaxy's pixels are looked at before the network sees them."""
        measured = self.recentre or (self.frame is not None and bool(self.frame.measured))
        return measured or self.color is not None

    @property
    def fits(self) -> FitsLayout:
        """Where the survey's FITS files keep their images, as `images.fits` takes it."""
        mask = self.mask
        if mask is None:
            return FitsLayout(self.extension, self.planes)
        return FitsLayout(self.extension, self.planes, mask.name, mask.planes, mask.marks == "good")


def load_survey(uri: str) -> SurveySettings:
    """Read a survey file, which may lie in any store.

    Raises
    ------
    InputError
        If it can't be read, or a key of it is unknown, missing or doesn't fit.
    """
    return validate(SurveySettings, parse_yaml(storage.read_bytes(uri), uri), uri)
