"""A row of a source → the picture of a galaxy, and where in it its frame lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.geometry import FRAME_PIXELS
from pipeline.images import BandImages, ImageError, color_picture, stack_bands
from pipeline.images.encode import encode_png
from pipeline.survey.cutouts import CUTOUT_SCHEMA, SIZE
from pipeline.survey.detection import Source as DetectedSource
from pipeline.survey.detection import detect_sources
from pipeline.survey.recentre import CENTRALITY
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import Source


@dataclass(frozen=True)
class Developed:
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
    """

    pixels: NDArray[np.uint8]
    center: tuple[float, float] | None
    frame_pixels: float | None
    ra: float | None
    dec: float | None
    replaced: int = 0


def develop(cutout: Mapping[str, Any], source: Source) -> Developed:
    """Make a galaxy's picture.

    Parameters
    ----------
    cutout
        As `SalvagedRows.cutouts` gives it.

    Raises
    ------
    ImageError
        If it can't be made, or where the survey file says so measured.
    """
    survey, image = source.survey, cutout["image"]
    if image is None:
        raise ImageError("empty", "the image is null")
    center = _center(cutout)
    ra, dec = known(cutout["ra"]), known(cutout["dec"])
    if survey is None:
        pixels = source.open_image(image, sky=False)
        assert isinstance(pixels, np.ndarray)
        return Developed(pixels, center, cutout["frame_pixels"], ra, dec)
    nowhere = ra is None and dec is None
    found = source.open_image(image, sky=nowhere or _needs_scale(survey))
    scale, replaced = survey.pixel_scale, 0
    if isinstance(found, BandImages):
        scale = found.pixel_scale or scale
        if nowhere and found.position is not None:
            ra, dec = found.position
        assert survey.color is not None
        light, replaced = stack_bands(found, survey.color.bands, survey.most_bad)
        pixels = color_picture(light, survey.color.mapping)
        light = light * np.asarray(survey.color.scales, np.float32)
    else:
        pixels, light = found, found.astype(np.float32)
    if survey.recentre or (survey.frame is not None and survey.frame.measured):
        center, radius = _measured(light, center, survey)
    else:
        radius = None
    frame = _frame_pixels(cutout, survey, scale, radius)
    return Developed(pixels, center, frame, ra, dec, replaced)


def known(value: float | None) -> float | None:
    """NaN is how many tables write that a value is missing."""
    return None if value is None or math.isnan(value) else value


def _center(cutout: Mapping[str, Any]) -> tuple[float, float] | None:
    x, y = cutout["center_x"], cutout["center_y"]
    if (x is None) != (y is None):
        missing, there = ("center_x", "center_y") if x is None else ("center_y", "center_x")
        raise ImageError("bad_center", f"{missing} is null and {there} isn't; expected both or neither")
    return None if x is None or y is None else (x, y)


def _needs_scale(survey: SurveySettings) -> bool:
    frame = survey.frame
    return frame is not None and (
        frame.arcsec is not None or (frame.column is not None and frame.unit == "arcsec")
    )


def _frame_pixels(
    cutout: Mapping[str, Any], survey: SurveySettings, scale: float | None, radius: float | None
) -> float | None:
    """Width of the frame in image pixels."""
    frame = survey.frame
    if frame is None:
        width: float | None = cutout["frame_pixels"]
        return width
    if frame.measured:
        if radius is None:
            raise ImageError(
                "no_source",
                "no source was found to scale the frame by; look at `detection` in the survey file",
            )
        return frame.factor * radius
    if frame.column is not None:
        size = known(cutout[SIZE])
        if size is None or not 0 < size < math.inf:
            raise ImageError("bad_frame", f"{frame.column} is {size}; expected a radius above 0")
        width = frame.factor * size
    else:
        width = frame.arcsec
    assert width is not None
    if not _needs_scale(survey):
        return width
    if scale is None:
        raise ImageError(
            "no_pixel_scale",
            "the frame is in arcseconds and the image tells no pixel scale; give pixel_scale in the survey "
            "file",
        )
    return width / scale


def _measured(
    light: NDArray[np.float32], center: tuple[float, float] | None, survey: SurveySettings
) -> tuple[tuple[float, float] | None, float | None]:
    """Centre and Petrosian 90 % radius of the galaxy, by the most salient source.

    Of all sources it's the one with the largest area × exp(-d²/5000), d from the middle in pixels of a
    424-pixel frame as wide as the image (Dieleman, Willett & Dambre 2015, section 7.1).
    """
    height, width = light.shape[:2]
    x, y = center or ((width - 1) / 2, (height - 1) / 2)
    try:
        sources = detect_sources(light, survey.detection)
    except InputError as error:
        raise ImageError("no_source", str(error)) from error
    if not sources:
        return center, None
    pixel = FRAME_PIXELS / max(width, height)

    def salience(source: DetectedSource) -> float:
        distance = pixel * math.hypot(source.x - x, source.y - y)
        return source.area * math.exp(-(distance**2) / CENTRALITY)

    best = max(sources, key=salience)
    return ((best.x, best.y) if survey.recentre else center), best.radius


def picture_row(cutout: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """A row of `CUTOUT_SCHEMA` with the galaxy's picture: a survey's as PNG, a cutout set's own as it is.

    Parameters
    ----------
    cutout
        As `SalvagedRows.cutouts` gives it.

    Raises
    ------
    ImageError
        If there is none.
    """
    galaxy = develop(cutout, source)
    kept = {name: cutout[name] for name in CUTOUT_SCHEMA.names}
    if source.survey is None:
        return kept
    x, y = galaxy.center or (None, None)
    seen = {"image": encode_png(galaxy.pixels), "frame_pixels": galaxy.frame_pixels}
    return kept | seen | {"center_x": x, "center_y": y, "ra": galaxy.ra, "dec": galaxy.dec}
