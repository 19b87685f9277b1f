"""Images of tiles: their headers, and only those pixels that are asked for."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.reading import Watched
from pipeline.cutting.grid import Grid, grid_of
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.errors import StorageTrouble
from pipeline.images import ImageError, mask_bits
from pipeline.images.fits import find_image, find_mask
from pipeline.images.layout import BZIP2, GZIP

MOST_PIXELS = 1 << 29
"""Images of more pixels than this are refused (23,170 × 23,170)."""

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    zlib.error,
    fits.VerifyError,
)
"""What astropy raises about bytes that are no sound FITS."""

_READ_AHEAD = 64 << 10
"""Bytes that are fetched from a store beyond what is asked for, as headers are asked for piece by piece."""

_FITS_BLOCK = 2880
"""What is in a FITS file is filled up to a multiple of so many bytes."""


class FitsFile:
    """A FITS file of any store, read where it is asked; gzip and bzip2 are undone on the way.

    Parameters
    ----------
    tile
        The tile's name, for messages.
    stack
        Closes it.

    Raises
    ------
    ImageError
        With reason ``damaged_tile``.
    StorageTrouble
        If the store failed, which is no fault of the file.
    """

    def __init__(self, tile: str, uri: str, stack: contextlib.ExitStack) -> None:
        self.uri = uri
        self._tile, self._stack = tile, stack
        self._length: int | None = None
        self._stream = self._open(cache_type="readahead", block_size=_READ_AHEAD)
        with self.reading():
            plain: Any = self._stream
            start = self._stream.read(3)
            if start.startswith((GZIP, BZIP2)):
                self._stream = self._open()  # it is read from its start to where pixels are, in large pieces
                undone = gzip.open if start.startswith(GZIP) else bz2.open
                plain = stack.enter_context(undone(self._stream))
            else:
                self._length = int(self._stream.seek(0, 2))
                self._stream.seek(0)
            self.hdus = stack.enter_context(fits.open(plain, mode="readonly", memmap=False))

    def _open(self, **options: Any) -> Watched:
        fs, path = storage.filesystem(self.uri)
        try:
            return Watched(self._stack.enter_context(fs.open(path, "rb", **options)))
        except FileNotFoundError as error:
            raise ImageError("damaged_tile", f"{self.uri} of tile {self._tile!r} is gone") from error
        except Exception as error:
            raise StorageTrouble(f"cannot read {self.uri}: {storage.reason(error)}") from error

    def check_length(self, expected: int) -> None:
        """Make sure that a file which isn't compressed as a whole has so many bytes.

        Raises
        ------
        ImageError
            With reason ``damaged_tile``.
        """
        if self._length is not None and self._length < expected:
            raise ImageError(
                "damaged_tile",
                f"the file is cut short: it has {self._length:,} bytes, and its header tells of "
                f"{expected:,}; download it again",
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Name the file in what is raised, and tell damage from a failing store."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                yield
        except ImageError as error:
            raise ImageError(error.reason, f"{self.uri} of tile {self._tile!r}: {error.message}") from error
        except _DAMAGE as error:
            text = " ".join(str(error).split())[:200]
            if self._stream.failed:
                raise StorageTrouble(f"cannot read {self.uri}: {text}") from error
            raise ImageError(
                "damaged_tile",
                f"{self.uri} of tile {self._tile!r} can't be read as FITS ({text}); download it again",
            ) from error


@dataclass(frozen=True)
class Plane:
    """One image in an open file, or one plane of a cube.

    Raises
    ------
    ImageError
        If the file ends before the image does: which pixels can be read must not depend on which are asked
        for together.
    """

    file: FitsFile
    hdu: Any
    plane: int | None = None

    def __post_init__(self) -> None:
        place = self.hdu.fileinfo()
        padded = isinstance(self.hdu, fits.CompImageHDU)
        size = place["datSpan"] - _FITS_BLOCK + 1 if padded else self.hdu.size
        self.file.check_length(place["datLoc"] + size)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.hdu.shape[-2:]
        return int(height), int(width)

    def read(self, bottom: int, top: int, left: int, right: int) -> NDArray[Any]:
        """Rows [bottom, top) and columns [left, right), in native byte order.

        Of an image that isn't compressed whole rows are read at once, which is one piece of the file.
        """
        compressed = isinstance(self.hdu, fits.CompImageHDU)
        columns = slice(left, right) if compressed else slice(None)
        place = (slice(bottom, top), columns)
        with self.file.reading():
            pixels = self.hdu.section[place if self.plane is None else (self.plane, *place)]
            pixels = pixels if compressed else pixels[:, left:right]
            if pixels.shape != (top - bottom, right - left):
                raise ImageError("damaged_tile", f"{pixels.shape} pixels came of rows {bottom} to {top}")
            return np.asarray(pixels, pixels.dtype.newbyteorder("="))


class BandTile:
    """A band of a tile: fluxes, and which pixels are bad.

    Attributes
    ----------
    grid
        Where its pixels lie.

    Raises
    ------
    ImageError
        If it is damaged or missing, or isn't as the settings say; the message names the file.
    StorageTrouble
        If the store fails.
    """

    def __init__(self, tile: Tile, band: str, survey: TileSurvey, stack: contextlib.ExitStack) -> None:
        layout = survey.layout
        if band not in tile.images:
            raise ImageError("missing_band", f"tile {tile.name!r} has no file of band {band!r}")
        file = FitsFile(tile.name, tile.images[band], stack)
        with file.reading():
            self._flux = Plane(file, *find_image(file.hdus, band, survey.alone, layout))
            height, width = self._flux.shape
            _check_size(width, height)
            self.grid = grid_of(self._flux.hdu.header, width, height)
        self._marks_good = layout.marks_good
        self._mask: Plane | None = None
        self._bits: list[int] = []
        if layout.mask is not None or survey.masks is not None:
            own = FitsFile(tile.name, _file_of(tile, "masks", band), stack) if survey.masks else file
            with own.reading():
                if layout.mask is None:
                    self._mask = Plane(own, _only_image(own.hdus))
                else:
                    hdu, self._bits = find_mask(own.hdus, band, layout)
                    self._mask = Plane(own, hdu)
        self._variance: Plane | None = None
        if survey.variances is not None:
            own = FitsFile(tile.name, _file_of(tile, "variances", band), stack)
            with own.reading():
                self._variance = Plane(own, _only_image(own.hdus))
        elif survey.variance is not None:
            with file.reading():
                self._variance = Plane(file, _extension(file.hdus, survey.variance, band))
        for what, plane in (("mask", self._mask), ("variance", self._variance)):
            if plane is not None and plane.shape != self._flux.shape:
                raise ImageError(
                    "bad_shape",
                    f"band {band!r} of tile {tile.name!r} has {width}×{height} pixels and its {what} "
                    f"{plane.shape[1]}×{plane.shape[0]}",
                )

    def read(self, bottom: int, top: int, left: int, right: int) -> NDArray[np.float32]:
        """Fluxes of rows [bottom, top) and columns [left, right); NaN where a pixel is bad."""
        box = (bottom, top, left, right)
        flux = np.array(self._flux.read(*box), np.float32)
        if self._mask is not None:
            flux[mask_bits(self._mask.read(*box), self._bits, self._marks_good)] = np.nan
        if self._variance is not None:
            with np.errstate(invalid="ignore"):
                variance = self._variance.read(*box)
                flux[~((variance > 0) & np.isfinite(variance))] = np.nan
        return flux


def read_grid(tile: Tile, survey: TileSurvey) -> tuple[Grid, fits.Header]:
    """The grid of a tile's first band and the header that tells it; no pixel is read.

    Raises
    ------
    ImageError, StorageTrouble
        See `BandTile`.
    """
    band = survey.bands[0]
    if band not in tile.images:
        raise ImageError("missing_band", f"tile {tile.name!r} has no file of band {band!r}")
    with contextlib.ExitStack() as stack:
        file = FitsFile(tile.name, tile.images[band], stack)
        with file.reading():
            hdu, _ = find_image(file.hdus, band, survey.alone, survey.layout)
            height, width = hdu.shape[-2:]
            _check_size(width, height)
            return grid_of(hdu.header, width, height), hdu.header


def open_plane(tile: Tile, band: str, survey: TileSurvey, stack: contextlib.ExitStack) -> Plane:
    """The image of a band of a tile whose place isn't told by its header.

    Raises
    ------
    ImageError, StorageTrouble
        See `BandTile`.
    """
    if band not in tile.images:
        raise ImageError("missing_band", f"tile {tile.name!r} has no file of band {band!r}")
    file = FitsFile(tile.name, tile.images[band], stack)
    with file.reading():
        plane = Plane(file, *find_image(file.hdus, band, True, survey.layout))
        height, width = plane.shape
        _check_size(width, height)
        return plane


def _file_of(tile: Tile, kind: str, band: str) -> str:
    files: dict[str, str] = getattr(tile, kind)
    if band not in files:
        raise ImageError("missing_band", f"tile {tile.name!r} has no file of the {kind} of band {band!r}")
    return files[band]


def _only_image(hdus: fits.HDUList) -> Any:
    found = next((hdu for hdu in hdus if hdu.is_image and len(hdu.shape) == 2), None)
    if found is None:
        raise ImageError("no_extension", "the FITS file has no image")
    return found


def _extension(hdus: fits.HDUList, name: str | int, band: str) -> Any:
    own = name.replace("{band}", band) if isinstance(name, str) else name
    try:
        return hdus[own]
    except (KeyError, IndexError) as error:
        raise ImageError("no_extension", f"the FITS file has no variance {own!r}") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ImageError("too_large", f"{width}×{height} pixels; at most {MOST_PIXELS} in all make a tile")
