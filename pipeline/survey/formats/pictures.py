"""The bytes of a galaxy's files → its pixels, or its fluxes by band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.images import BandImages, ImageError, decode_image, is_fits
from pipeline.survey.settings import SurveySettings


def open_bytes(
    files: Sequence[tuple[str | None, bytes | None]], survey: SurveySettings, sky: bool
) -> NDArray[np.uint8] | BandImages:
    """Open a galaxy's files: a JPEG or PNG, or FITS.

    Parameters
    ----------
    files
        Their content, each with the band that it holds; None if that isn't one alone.
    sky
        See `pipeline.images.fits.read_fits`.

    Raises
    ------
    ImageError
        If they can't be used.
    """
    content = []
    for band, data in files:
        if not data:
            raise ImageError("empty", "the image is null" if data is None else "the image has no bytes")
        content.append((band, data))
    if not content:
        raise ImageError("empty", "there is no image")
    if content[0][0] is None and not is_fits(content[0][1]):
        return decode_image(content[0][1])
    from pipeline.images.fits import read_fits  # astropy loads slowly, and pictures don't need it

    return read_fits(content, survey.bands, survey.fits, sky)
