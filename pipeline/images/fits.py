"""FITS files of one galaxy → its images by band, with masks and what their coordinate system tells."""

from __future__ import annotations

import bz2
import contextlib
import functools
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning, AstropyWarning
from numpy.typing import NDArray

from pipeline.images.axes import SkyAxes
from pipeline.images.bands import BandImages, check_shapes, mask_bits
from pipeline.images.decode import ImageError
from pipeline.images.layout import BZIP2, FITS, GZIP, FitsLayout

MAX_BYTES = 1 << 30
"""A compressed file that grows beyond this is refused."""

_OF_ONE_BAND = ("IMAGE", "SCI")
"""Names of the extension that holds the image where a file has that of one band (Rubin, Hubble)."""

_BAND_KEYWORDS = ("BAND", "FILTER")


def read_fits(
    files: Sequence[tuple[str | None, bytes]], bands: Sequence[str], layout: FitsLayout, sky: bool = True
) -> BandImages:
    """Read some bands of a galaxy.

    Parameters
    ----------
    files
        The galaxy's files, each with the band that it holds; None if it holds several.
    bands
        The bands to read; others are left unread.
    sky
        Whether to work out scale, position and axes, which takes longer than all else.

    Returns
    -------
    BandImages
        What was found of `bands`, float32 of native byte order. Scale, position and axes are those of the
        first of them that has celestial coordinates.

    Raises
    ------
    ImageError
        With reason ``not_an_image``, ``truncated``, ``damaged``, ``no_extension``, ``missing_band``,
        ``bad_shape``, ``too_large`` or ``bad_wcs``.
    """
    flux: dict[str, NDArray[np.floating]] = {}
    bad: dict[str, NDArray[np.bool_]] = {}
    headers = []
    for only_band, data in files:
        wanted = bands if only_band is None else [only_band]
        with _damage_explained(), fits.open(io.BytesIO(_plain(data)), memmap=False) as hdus:
            for band in wanted:
                if band in flux or band not in bands:
                    continue
                header, flux[band] = _image(hdus, band, only_band is not None, layout)
                headers.append((header, flux[band].shape))
                if layout.mask is not None:
                    bad[band] = _mask(hdus, band, layout)
    for header, shape in headers if sky else ():
        if (place := _sky(header, shape)) is not None:
            return BandImages(flux, bad, *place)
    return BandImages(flux, bad)


@contextlib.contextmanager
def _damage_explained() -> Iterator[None]:
    """Raise `ImageError` in the place of what astropy raises, or warns of, where a file is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", ".*truncated.*", AstropyUserWarning)
            yield
    except ImageError:
        raise
    except (OSError, EOFError, AstropyUserWarning, zlib.error) as error:
        text = " ".join(str(error).split())
        reason = "truncated" if "truncated" in text.lower() else "damaged"
        raise ImageError(reason, f"the FITS file can't be read: {text[:200]}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, fits.VerifyError) as error:
        text = " ".join(str(error).split())[:200]
        raise ImageError("damaged", f"the FITS file can't be read: {text}") from error


def _plain(data: bytes) -> bytes:
    """The file without gzip or bzip2 around it."""
    if data.startswith(FITS):
        return data
    if data.startswith(GZIP):
        unzip: Any = zlib.decompressobj(wbits=31)
    elif data.startswith(BZIP2):
        unzip = bz2.BZ2Decompressor()
    else:
        raise ImageError("not_an_image", f"not a FITS file: the content starts with {data[:12]!r}")
    plain = bytes(unzip.decompress(data, MAX_BYTES))
    if not unzip.eof:
        if len(plain) >= MAX_BYTES:
            raise ImageError("too_large", f"the compressed file holds more than {MAX_BYTES} bytes")
        raise ImageError("truncated", "the compressed file ends before its content does (truncated)")
    if not plain.startswith(FITS):
        raise ImageError("not_an_image", f"the compressed file is not FITS: it starts with {plain[:12]!r}")
    return plain


def find_image(hdus: fits.HDUList, band: str, alone: bool, layout: FitsLayout) -> tuple[Any, int | None]:
    """The extension with a band's image, and which plane of it that is where it is a cube.

    Parameters
    ----------
    alone
        Whether the file holds this band and no other.

    Raises
    ------
    ImageError
        With reason ``no_extension``, ``missing_band`` or ``bad_shape``.
    """
    images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) >= 2]
    if not images:
        raise ImageError(
            "no_extension",
            f"the FITS file has no image ({_extension_list(hdus)}); expected {_expected(band, layout)}",
        )
    extension = layout.extension
    name = extension.get(band) if isinstance(extension, Mapping) else extension
    if name is not None:
        hdu = _named(hdus, name, band)
    elif alone:
        hdu = next((hdu for hdu in images if hdu.name in _OF_ONE_BAND), images[0])
    else:
        hdu = next((hdu for hdu in images if band in _bands_of(hdu, layout)), None)
    if hdu is None or not hdu.is_image:
        available = {band.lower(): band for hdu in images for band in _bands_of(hdu, layout)}.values()
        names = f"bands {', '.join(available)} in " if available and name is None else ""
        raise ImageError(
            "missing_band",
            f"there is no {_expected(band, layout)} in the FITS file ({names}{_extension_list(hdus)})",
        )
    if len(hdu.shape) != 3:
        return hdu, None
    bands = _bands_of(hdu, layout)
    if len(bands) != hdu.shape[0] or band not in bands:
        raise ImageError(
            "bad_shape",
            f"extension {hdu.name or 0!r} is a cube of {hdu.shape[0]} planes, of the bands "
            f"{', '.join(bands) or 'unknown'}; name them as `planes` in the survey file",
        )
    return hdu, bands.index(band)


def find_mask(hdus: fits.HDUList, band: str, layout: FitsLayout) -> tuple[Any, list[int]]:
    """The extension with a band's mask, and the numbers of its bits that count.

    Raises
    ------
    ImageError
        With reason ``no_extension``.
    """
    assert layout.mask is not None
    hdu = _named(hdus, layout.mask, band)
    if hdu is None or not hdu.is_image or len(hdu.shape) != 2:
        raise ImageError(
            "no_extension",
            f"the FITS file has no mask {_filled(layout.mask, band)!r} ({_extension_list(hdus)}); name it as "
            "`mask.name` in the survey file",
        )
    planes = layout.mask_planes
    return hdu, [plane if isinstance(plane, int) else _plane_number(hdu.header, plane) for plane in planes]


def _image(
    hdus: fits.HDUList, band: str, alone: bool, layout: FitsLayout
) -> tuple[fits.Header, NDArray[np.float32]]:
    """Header and pixels of a band."""
    hdu, plane = find_image(hdus, band, alone, layout)
    if plane is not None:
        check_shapes({band: hdu.shape[1:]})
        return hdu.header, np.asarray(hdu.data[plane], np.float32)
    check_shapes({band: hdu.shape})
    return hdu.header, np.asarray(hdu.data, np.float32)


def _mask(hdus: fits.HDUList, band: str, layout: FitsLayout) -> NDArray[np.bool_]:
    hdu, bits = find_mask(hdus, band, layout)
    check_shapes({band: hdu.shape})
    return mask_bits(hdu.data, bits, layout.marks_good)


def _plane_number(header: fits.Header, plane: str) -> int:
    number = header.get(f"MP_{plane}")
    if number is None:
        planes = ", ".join(key.removeprefix("MP_") for key in header if key.startswith("MP_"))
        raise ImageError("no_extension", f"the mask has no plane {plane!r} (it has {planes or 'none'})")
    return int(number)


def _named(hdus: fits.HDUList, name: str | int, band: str) -> Any:
    """The extension of a name or number; None if there is none."""
    name = _filled(name, band)
    if isinstance(name, int):
        return hdus[name] if 0 <= name < len(hdus) else None
    return next((hdu for hdu in hdus if hdu.name.lower() == name.lower()), None)


def _filled(name: str | int, band: str) -> str | int:
    return name.replace("{band}", band) if isinstance(name, str) else name


def _bands_of(hdu: Any, layout: FitsLayout) -> list[str]:
    """Bands that an image says it holds."""
    if len(hdu.shape) == 3:
        listed = str(hdu.header.get("BANDS", ""))
        return list(layout.planes) or (listed.replace(" ", "").split(",") if "," in listed else list(listed))
    # The name of an extension is in capitals, whatever the band's.
    names = [hdu.name.lower(), hdu.name, *(str(hdu.header.get(key, "")) for key in _BAND_KEYWORDS)]
    return list(dict.fromkeys(name for name in names if name))


def _extension_list(hdus: fits.HDUList) -> str:
    names = [f"{number} {hdu.name}".strip() for number, hdu in enumerate(hdus)]
    return f"extensions {', '.join(names)}"


def _expected(band: str, layout: FitsLayout) -> str:
    extension = layout.extension.get(band) if isinstance(layout.extension, Mapping) else layout.extension
    return (
        f"band {band!r}" if extension is None else f"extension {_filled(extension, band)!r} for band {band!r}"
    )


@functools.cache
def _sky_tools() -> Any:
    import astropy.wcs
    import astropy.wcs.utils

    return astropy.wcs


def _sky(
    header: fits.Header, shape: Sequence[int]
) -> tuple[float, tuple[float, float], SkyAxes | None] | None:
    """Arcseconds a pixel, where the middle of the image is on the sky (ICRS), and how the sky lies there."""
    if not any(key.startswith("CTYPE") for key in header):
        return None
    wcs_module = _sky_tools()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = wcs_module.WCS(header, naxis=2)
            if not wcs.has_celestial:
                return None
            x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
            area = wcs_module.utils.proj_plane_pixel_area(wcs)
            sky = wcs.pixel_to_world(x, y).icrs
            scale, ra, dec = 3600 * float(np.sqrt(area)), float(sky.ra.deg), float(sky.dec.deg)
            axes = SkyAxes.at(x, y, functools.partial(_to_sky, wcs))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ImageError("bad_wcs", f"the coordinate system (WCS) can't be used: {text}") from error
    if not (np.isfinite([scale, ra, dec]).all() and scale > 0):
        raise ImageError("bad_wcs", "the coordinate system (WCS) has no place on the sky for the middle")
    return scale, (ra, dec), axes


def _to_sky(wcs: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Any, Any]:
    sky = wcs.pixel_to_world(x, y).icrs
    return sky.ra.deg, sky.dec.deg
