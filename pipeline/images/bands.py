"""Images of one galaxy in several filters: bad pixels replaced, three of them made a colour picture.

The picture is Lupton et al.'s (2004, PASP 116, 133): brightness by an asinh, colours kept where it saturates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StrictModel
from pipeline.images.axes import SkyAxes
from pipeline.images.decode import MAX_PIXELS, MIN_SIDE, ImageError


@dataclass(frozen=True)
class BandImages:
    """A galaxy in several filters, all on the same pixels.

    Attributes
    ----------
    flux : dict of str to ndarray, shape (height, width), float
        By band.
    bad : dict of str to ndarray, shape (height, width), bool
        Pixels that a mask marks as unusable; bands without a mask are absent.
    pixel_scale
        Arcseconds a pixel; None where the data don't tell.
    position
        (ra, dec) of the image's middle, degrees, ICRS; None where the data don't tell.
    axes
        How the sky lies in it, at its middle; None where the data don't tell.
    """

    flux: Mapping[str, NDArray[np.floating]]
    bad: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    pixel_scale: float | None = None
    position: tuple[float, float] | None = None
    axes: SkyAxes | None = None


class ColorMapping(StrictModel):
    """How three bands become red, green and blue.

    Attributes
    ----------
    bands, scales
        For red, green and blue: the band, and the factor by which its flux is multiplied first.
    stretch, Q
        As in Lupton et al. 2004 and astropy's ``make_lupton_rgb``: asinh turns from linear to logarithmic at
        a flux of `stretch` / `Q`.
    minimum
        Scaled flux that is shown as black.
    """

    bands: tuple[str, str, str]
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)
    stretch: float = Field(gt=0, allow_inf_nan=False)
    Q: float = Field(gt=0, allow_inf_nan=False)
    minimum: float = Field(default=0.0, allow_inf_nan=False)


def stack_bands(images: BandImages, bands: Sequence[str], most_bad: float) -> tuple[NDArray[np.float32], int]:
    """Some bands as one array, bad pixels replaced.

    A pixel is bad if a mask says so or its flux is not finite; it takes the flux of the nearest good pixel
    of its band.

    Parameters
    ----------
    most_bad
        The largest share of a band's pixels that may be bad.

    Returns
    -------
    flux : ndarray, shape (height, width, bands), float32
    replaced : int
        Number of pixels, each band counted.

    Raises
    ------
    ImageError
        With reason ``missing_band``, ``bad_shape``, ``too_small``, ``too_large`` or ``bad_pixels``.
    """
    for band in bands:
        if band not in images.flux:
            raise ImageError(
                "missing_band", f"there is no band {band!r} (there are {', '.join(images.flux) or 'none'})"
            )
    shapes = {band: images.flux[band].shape for band in bands}
    check_shapes(shapes)
    replaced, layers = 0, []
    for band in bands:
        flux = np.array(images.flux[band], np.float32)  # own memory, native byte order
        bad = ~np.isfinite(flux)
        if band in images.bad:
            if images.bad[band].shape != flux.shape:
                raise ImageError(
                    "bad_shape",
                    f"band {band!r} has {_size(flux.shape)} pixels and its mask "
                    f"{_size(images.bad[band].shape)}",
                )
            bad |= images.bad[band]
        count = int(np.count_nonzero(bad))
        if count > most_bad * bad.size or count == bad.size:
            raise ImageError(
                "bad_pixels",
                f"{count / bad.size:.1%} of band {band!r} is masked or not a number; at most {most_bad:.1%} "
                "may be",
            )
        if count:
            flux = nearest_good(flux, bad)
        replaced += count
        layers.append(flux)
    return np.stack(layers, axis=-1), replaced


def check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that all bands are images of one size that can be used.

    Raises
    ------
    ImageError
        With reason ``bad_shape``, ``too_small`` or ``too_large``.
    """
    first = next(iter(shapes))
    for band, shape in shapes.items():
        if len(shape) != 2:
            raise ImageError(
                "bad_shape", f"band {band!r} has the shape {_size(shape)}; expected height × width"
            )
        if shape != shapes[first]:
            raise ImageError(
                "bad_shape",
                f"band {band!r} has {_size(shape)} pixels and band {first!r} {_size(shapes[first])}; "
                "expected all on the same pixels",
            )
    height, width = shapes[first]
    if min(height, width) < MIN_SIDE:
        raise ImageError("too_small", f"{width}×{height} pixels; at least {MIN_SIDE}×{MIN_SIDE} are needed")
    if width * height > MAX_PIXELS:
        raise ImageError(
            "too_large", f"{width}×{height} pixels; at most {MAX_PIXELS} in all: cut the galaxy out first"
        )


def nearest_good(flux: NDArray[np.float32], bad: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The image with each bad pixel replaced by the good one that is nearest to it.

    Parameters
    ----------
    flux : ndarray, shape (height, width), float32
    bad : ndarray, shape (height, width), bool
        Not all of them.
    """
    from scipy.ndimage import distance_transform_edt  # slow to load, and seldom needed

    nearest = distance_transform_edt(bad, return_distances=False, return_indices=True)
    return np.asarray(flux[tuple(nearest)], np.float32)


def mask_bits(mask: NDArray[np.generic], bits: Sequence[int], marks_good: bool = False) -> NDArray[np.bool_]:
    """Which pixels a mask calls bad.

    Parameters
    ----------
    mask : ndarray, shape (height, width), integer or bool
    bits
        Numbers of the bits that count; all if empty.
    marks_good
        Whether the mask marks the pixels that may be used instead.
    """
    values = np.asarray(mask)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0 if marks_good else 1.0)
    if values.dtype.kind != "b" and bits:
        values = values.astype(np.int64) & sum(1 << bit for bit in set(bits))
    marked: NDArray[np.bool_] = values != 0
    return ~marked if marks_good else marked


def color_picture(flux: NDArray[np.float32], mapping: ColorMapping) -> NDArray[np.uint8]:
    """The colour picture of three bands.

    Parameters
    ----------
    flux : ndarray, shape (height, width, 3), float32
        Red, green, blue, finite.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    from astropy.visualization import make_lupton_rgb  # loads slowly, and only fluxes need it

    # float64: the sum of very bright pixels must not overflow.
    red, green, blue = (flux[..., i].astype(np.float64) * mapping.scales[i] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # of pixels without light, which become black
        picture = make_lupton_rgb(
            red, green, blue, minimum=mapping.minimum, stretch=mapping.stretch, Q=mapping.Q
        )
    return np.asarray(picture, np.uint8)


def _size(shape: Sequence[int]) -> str:
    return "×".join(str(side) for side in shape) or "()"
