"""How wide a galaxy's frame is in its picture, and where the middle of it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.geometry import FRAME_PIXELS
from pipeline.images.axes import SkyAxes
from pipeline.images.decode import ImageError
from pipeline.images.detection import DetectedSource, DetectionCriteria, detect_sources, salience
from pipeline.images.jpeg import PlainJpeg
from pipeline.images.region import FRAME_HALF_LIGHT_RADII, FRAME_RADII


@dataclass(frozen=True)
class GalaxyPicture:
    """A galaxy's picture.

    Attributes
    ----------
    pixels : ndarray, shape (height, width, 3), uint8
    center
        (x, y) of the galaxy; None for the middle.
    frame_pixels
        Width of its frame in image pixels; None for the whole image.
    ra, dec
        ICRS, degrees.
    replaced
        Number of bad pixels that were replaced, each band counted.
    axes
        How the sky lies in the image; None where nothing tells.
    """

    pixels: NDArray[np.uint8]
    center: tuple[float, float] | None
    frame_pixels: float | None
    ra: float | None
    dec: float | None
    replaced: int = 0
    axes: SkyAxes | None = None


@dataclass(frozen=True)
class GalaxyJpeg:
    """A galaxy's picture that isn't decoded yet.

    Attributes
    ----------
    jpeg
        Found sound.
    brightness
        See `pipeline.images.jpeg.check_jpeg`.
    center, frame_pixels, ra, dec, axes
        As `GalaxyPicture` has them.
    """

    jpeg: PlainJpeg
    brightness: NDArray[np.float32]
    center: tuple[float, float] | None
    frame_pixels: float | None
    ra: float | None
    dec: float | None
    axes: SkyAxes | None = None


class FrameWidth(StrictModel):
    """How wide a galaxy's frame is: a radius times `factor`, or a width in arcseconds; one of the three.

    Attributes
    ----------
    column
        Column that holds the radius.
    unit
        Unit of that radius.
    measured
        Whether to measure the radius in the image: ``true`` for the Petrosian radius of 90 % of the light, or
        ``half_light``, which suits 8-bit pictures better.
    arcsec
        The same width for all galaxies, in arcseconds.
    factor
        Width of the frame in radii. The network was trained on frames of 8.48 Petrosian radii, about 12.7
        half-light radii.
    """

    column: str | None = None
    unit: Literal["arcsec", "pixel"] = "arcsec"
    measured: bool | Literal["half_light"] = False
    arcsec: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    factor: float = Field(default=FRAME_RADII, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _in_half_light_radii(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("measured") == "half_light":
            return {"factor": FRAME_HALF_LIGHT_RADII} | values
        return values

    @model_validator(mode="after")
    def _one(self) -> Self:
        rules = [self.column is not None, bool(self.measured), self.arcsec is not None]
        if sum(rules) != 1:
            raise ValueError("give one of column, measured: true, arcsec")
        return self

    @property
    def needs_scale(self) -> bool:
        """Whether it takes the image's pixel scale to tell the width in pixels."""
        return self.arcsec is not None or (self.column is not None and self.unit == "arcsec")

    def pixels(self, size: float | None, source: DetectedSource | None, scale: float | None) -> float:
        """Width of a galaxy's frame in image pixels.

        Parameters
        ----------
        size
            What its `column` holds.
        source
            The galaxy as measured in the image; None if no source was there.
        scale
            Arcseconds a pixel; None where nothing tells.

        Raises
        ------
        ImageError
            If what the width follows from is missing.
        """
        if self.measured:
            if source is None:
                raise ImageError(
                    "no_source",
                    "no source was found to scale the frame by; look at `detection` in the survey file",
                )
            return self.factor * (
                source.half_light_radius if self.measured == "half_light" else source.radius
            )
        width = self.arcsec
        if self.column is not None:
            if size is None or not 0 < size < math.inf:
                raise ImageError("bad_frame", f"{self.column} is {size}; expected a radius above 0")
            width = self.factor * size
        assert width is not None
        if not self.needs_scale:
            return width
        if scale is None:
            raise ImageError(
                "no_pixel_scale",
                "the frame is in arcseconds and the image tells no pixel scale; give pixel_scale in the "
                "survey file",
            )
        return width / scale


def measure_galaxy(
    light: NDArray[np.float32], middle: tuple[float, float] | None, criteria: DetectionCriteria
) -> DetectedSource | None:
    """The most salient source of a picture (see `salience`); None if there is none.

    Parameters
    ----------
    light : ndarray, shape (height, width, 3), float32
    middle
        (x, y) from which distances count, in pixels of a 424-pixel frame as wide as the image; None for the
        image's.

    Raises
    ------
    ImageError
        If sources can't be told from the background.
    """
    height, width = light.shape[:2]
    x, y = middle or ((width - 1) / 2, (height - 1) / 2)
    try:
        sources = detect_sources(light, criteria)
    except InputError as error:
        raise ImageError("no_source", str(error)) from error
    if not sources:
        return None
    distance = np.array([math.hypot(source.x - x, source.y - y) for source in sources])
    pixel = FRAME_PIXELS / max(width, height)
    salient = salience(np.array([source.area for source in sources]), pixel * distance)
    return sources[int(salient.argmax())]
