"""A row of a source → the picture of a galaxy, and where in it its frame lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.cutouts.table import CUTOUT_SCHEMA, SIZE, nan_to_none
from pipeline.images import BandImages, ImageError, color_picture, stack_bands
from pipeline.images.axes import SkyAxes
from pipeline.images.detection import DetectedSource
from pipeline.images.encode import encode_png
from pipeline.images.frame import GalaxyJpeg, GalaxyPicture, measure_galaxy
from pipeline.images.jpeg import PlainJpeg, check_jpeg, plain_jpeg
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import ImageOpener


def develop(cutout: Mapping[str, Any], source: ImageOpener, axes: bool = False) -> GalaxyPicture:
    """Make a galaxy's picture.

    Parameters
    ----------
    cutout
        As `SalvagedRows.cutouts` gives it.
    axes
        Whether it is wanted how the sky lies in it, which takes longer than all else in a FITS file.

    Raises
    ------
    ImageError
        If it can't be made, or where the survey file says so measured.
    """
    survey, image = source.survey, cutout["image"]
    if image is None:
        raise ImageError("empty", "the image is null")
    center = _center(cutout)
    ra, dec = nan_to_none(cutout["ra"]), nan_to_none(cutout["dec"])
    if survey is None:
        pixels = source.open_image(image, sky=False)
        assert isinstance(pixels, np.ndarray)
        return GalaxyPicture(pixels, center, cutout["frame_pixels"], ra, dec)
    frame, unplaced = survey.frame, ra is None and dec is None
    opened = source.open_image(image, sky=axes or unplaced or (frame is not None and frame.needs_scale))
    scale, sky_axes, replaced = survey.pixel_scale, _north_up(survey), 0
    if isinstance(opened, BandImages):
        scale, sky_axes = opened.pixel_scale or scale, opened.axes or sky_axes
        if unplaced and opened.position is not None:
            ra, dec = opened.position
        assert survey.color is not None
        light, replaced = stack_bands(opened, survey.color.bands, survey.most_bad)
        pixels = color_picture(light, survey.color)
        light = light * np.asarray(survey.color.scales, np.float32)
    else:
        pixels, light = opened, opened.astype(np.float32)
    measured: DetectedSource | None = None
    if survey.recentre or (frame is not None and frame.measured):
        measured = measure_galaxy(light, center, survey.detection)
    if survey.recentre and measured is not None:
        center = (measured.x, measured.y)
    width = _frame_width(cutout, survey, measured, scale)
    return GalaxyPicture(pixels, center, width, ra, dec, replaced, sky_axes)


def undeveloped(cutout: Mapping[str, Any], survey: SurveySettings | None) -> GalaxyJpeg | None:
    """A galaxy's picture as the plain JPEG that it is kept as; None where that has to be developed.

    Parameters
    ----------
    cutout
        As `develop` takes it.

    Raises
    ------
    ImageError
        As `develop` would.
    """
    jpeg = None if survey is not None and survey.needs_pixels else _jpeg_of(cutout["image"])
    if jpeg is None:
        return None
    center = _center(cutout)
    brightness = check_jpeg(jpeg)
    width = _frame_width(cutout, survey, None, None if survey is None else survey.pixel_scale)
    ra, dec = nan_to_none(cutout["ra"]), nan_to_none(cutout["dec"])
    return GalaxyJpeg(jpeg, brightness, center, width, ra, dec, _north_up(survey))


def _north_up(survey: SurveySettings | None) -> SkyAxes | None:
    """How the sky lies in the images of a survey that don't tell."""
    return None if survey is None or survey.pixel_scale is None else SkyAxes.north_up(survey.pixel_scale)


def _jpeg_of(image: Any) -> PlainJpeg | None:
    """The plain JPEG that is all of an image, as a source gives it: bytes, or a list of files."""
    if isinstance(image, list) and len(image) == 1 and image[0][0] is None:
        image = image[0][1]
    return plain_jpeg(image) if isinstance(image, bytes) else None


def _frame_width(
    cutout: Mapping[str, Any],
    survey: SurveySettings | None,
    measured: DetectedSource | None,
    scale: float | None,
) -> float | None:
    """Width of a galaxy's frame in image pixels; None for the whole image."""
    if survey is None or survey.frame is None:
        width: float | None = cutout["frame_pixels"]
        return width
    size = None if survey.frame.column is None else nan_to_none(cutout[SIZE])
    return survey.frame.pixels(size, measured, scale)


def _center(cutout: Mapping[str, Any]) -> tuple[float, float] | None:
    x, y = cutout["center_x"], cutout["center_y"]
    if (x is None) != (y is None):
        missing, present = ("center_x", "center_y") if x is None else ("center_y", "center_x")
        raise ImageError("bad_center", f"{missing} is null and {present} isn't; expected both or neither")
    return None if x is None or y is None else (x, y)


def picture_row(cutout: Mapping[str, Any], source: ImageOpener) -> dict[str, Any]:
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
