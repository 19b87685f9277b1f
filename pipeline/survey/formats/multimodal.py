"""Galaxies as the Multimodal Universe has them: a list of bands, each with its flux, mask and scale.

The list may be one of structs, or a struct of lists, which is how some writers keep the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.images import BandImages, ImageError, mask_bits
from pipeline.survey.settings import SurveySettings

BAND, SCALE = "band", "scale"
IMAGE_PARTS = frozenset({BAND, SCALE})


def read_bands(image: pa.Scalar, survey: SurveySettings) -> BandImages:
    """The bands of one galaxy that the survey's colours are made of.

    Parameters
    ----------
    image
        A list of structs, or a struct of lists, with ``band``, ``scale`` (arcsec/pixel), the flux and a mask.

    Raises
    ------
    ImageError
        With reason ``missing_band`` or ``bad_shape``.
    """
    parts = _parts(image)
    flux_name, mask = survey.columns.flux, survey.mask
    if BAND not in parts or flux_name not in parts:
        raise ImageError(
            "bad_shape",
            f"the image has no {BAND if BAND not in parts else flux_name!r} (it has "
            f"{', '.join(parts) or 'nothing'}); name its array as columns.flux in the survey file",
        )
    bands = [str(band) for band in parts[BAND].to_pylist()]
    flux, bad = {}, {}
    for number, band in enumerate(bands):
        if band not in survey.bands or band in flux:
            continue
        flux[band] = _pixels(parts[flux_name][number], band, flux_name)
        if mask is not None:
            if str(mask.name) not in parts:
                raise ImageError(
                    "bad_shape", f"the image has no mask {mask.name!r} (it has {', '.join(parts)})"
                )
            marked = _pixels(parts[str(mask.name)][number], band, str(mask.name))
            bits = [plane for plane in mask.planes if isinstance(plane, int)]
            bad[band] = mask_bits(marked, bits, mask.marks == "good")
    absent = [band for band in survey.bands if band not in flux]
    if absent:
        raise ImageError(
            "missing_band", f"there is no band {absent[0]!r} (there are {', '.join(bands) or 'none'})"
        )
    scales = parts[SCALE].to_numpy(zero_copy_only=False) if SCALE in parts else np.zeros(0)
    scale = float(scales[bands.index(survey.bands[0])]) if len(scales) == len(bands) else np.nan
    return BandImages(flux, bad, scale if np.isfinite(scale) and scale > 0 else None)


def _parts(image: pa.Scalar) -> dict[str, pa.Array]:
    """The fields of all bands, each an array with one value a band."""
    if pa.types.is_struct(image.type):
        lists = {field.name: image[field.name] for field in image.type}
        return {
            name: scalar.values
            for name, scalar in lists.items()
            if scalar.is_valid and hasattr(scalar, "values")
        }
    bands = image.values
    return {field.name: bands.field(field.name) for field in bands.type}


def _pixels(rows: Any, band: str, name: str) -> NDArray[Any]:
    """A list of lists as an array, (height, width)."""
    if not rows.is_valid:
        raise ImageError("bad_shape", f"the {name} of band {band!r} is null")
    lines = rows.values
    if not (
        pa.types.is_list(lines.type)
        or pa.types.is_large_list(lines.type)
        or pa.types.is_fixed_size_list(lines.type)
    ):
        raise ImageError(
            "bad_shape", f"the {name} of band {band!r} is a {rows.type}; expected lists of lists of numbers"
        )
    values: NDArray[Any] = lines.flatten().to_numpy(zero_copy_only=False)
    widths = set(lines.value_lengths().to_pylist())
    if len(widths) != 1 or None in widths or values.dtype.kind not in "fiub":
        raise ImageError(
            "bad_shape", f"the rows of the {name} of band {band!r} are not of one length; expected an image"
        )
    return values.reshape(len(lines), widths.pop())
