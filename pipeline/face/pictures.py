"""Pictures as a notebook has them: arrays, files, fluxes by band."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline import storage
from pipeline.errors import InputError
from pipeline.images import BandImages, ImageError, check_bands, check_size, decode_image
from pipeline.survey.formats.pictures import open_bytes
from pipeline.survey.settings import SurveySettings

Picture = Any
"""An array of shape (height, width, 3), uint8, or what numpy makes one of; a PIL image in RGB or with a
palette; the path or URI of a file, or its bytes: JPEG, PNG, and with a survey FITS; with a survey also a
mapping of bands to arrays, or astropy's ``Cutout2D``, of fluxes."""

_COLOUR = (
    "give an RGB picture of shape (height, width, 3), uint8, or the fluxes of three bands, as in "
    '{"g": g, "r": r, "i": i}, to a Classifier(survey="sdss"), whose survey file says how they become colours'
)


_OTHER_COLOURS = ("YCbCr", "HSV", "LAB", "RGBX")
"""Modes of PIL images that no JPEG or PNG is opened in, and whose bands aren't red, green and blue."""

_REAL = "iuf"
"""Kinds of numpy's types that are real numbers."""


def several(images: Iterable[Picture]) -> list[Picture]:
    """Pictures as a list.

    Raises
    ------
    InputError
        If it's one picture, or none.
    """
    one = isinstance(images, str | bytes | PathLike | Mapping) or not isinstance(images, Iterable)
    if one or (isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype != object):
        raise InputError(
            f"images is one picture, a {type(images).__name__}; expected several: give a list, as in "
            "predict([image])"
        )
    return list(images)


def load(image: Picture) -> Any:
    """What `Opener` opens: an array, bytes, or a dict of arrays.

    Raises
    ------
    ImageError
        With reason ``not_an_image`` if a file can't be read, or it can't become an array; of a PIL image as
        its file would have.
    """
    if isinstance(image, str | PathLike):
        try:
            return storage.read_bytes(fspath(image))
        except InputError as error:
            raise ImageError("not_an_image", str(error)) from error
    if isinstance(image, Mapping):
        return {str(band): _array(flux) for band, flux in image.items()}
    if isinstance(image, Image.Image):
        return _rgb(image)
    return image if isinstance(image, bytes) else _array(image)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a PIL image."""
    check_size(image.width, image.height)
    if image.mode in _OTHER_COLOURS:
        raise ImageError("not_an_image", f"a PIL image of mode {image.mode}; expected RGB: convert it first")
    check_bands(image)
    try:
        return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError) as error:  # PIL reads a file's pixels only now
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise ImageError(reason, f"the image can't be decoded: {error}") from error


def _array(image: Any) -> NDArray[Any]:
    """What numpy makes of it, and of astropy's ``Cutout2D`` and ``NDData`` what they hold."""
    is_array = hasattr(image, "__array__") or hasattr(image, "__array_interface__")
    try:
        return np.asarray(image if is_array else getattr(image, "data", image))
    except ValueError as error:
        raise ImageError("not_an_image", f"it can't become an array ({error}); {_COLOUR}") from error


@dataclass(frozen=True)
class Opener:
    """Opens what is in memory; see `pipeline.survey.source.ImageOpener`."""

    survey: SurveySettings | None = None

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """What `load` gave as an image → pixels, or fluxes by band."""
        if isinstance(image, bytes):
            return (
                decode_image(image) if self.survey is None else open_bytes([(None, image)], self.survey, sky)
            )
        if isinstance(image, dict):
            return self._bands(image)
        return _pixels(image)

    def _bands(self, flux: dict[str, NDArray[Any]]) -> BandImages:
        if self.survey is None or self.survey.color is None:
            raise ImageError("not_an_image", f"fluxes of bands {', '.join(flux)}, and no survey; {_COLOUR}")
        for band, values in flux.items():
            if values.dtype.kind not in _REAL:
                raise ImageError(
                    "not_an_image", f"band {band!r} is an array of type {values.dtype}; expected real numbers"
                )
        return BandImages(flux)


def _pixels(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ImageError(_reason(array), f"an array of shape {array.shape} and type {array.dtype}; {_COLOUR}")
    check_size(array.shape[1], array.shape[0])
    return array


def _reason(array: NDArray[Any]) -> str:
    """Why an array is no picture in colours, as it is said of files."""
    if array.ndim not in (2, 3) or array.dtype.kind not in _REAL:
        return "not_an_image"
    bands = 1 if array.ndim == 2 else array.shape[2]
    if bands == 1:
        return "grey"
    return "alpha" if bands in (2, 4) and array.dtype == np.uint8 else "not_an_image"
