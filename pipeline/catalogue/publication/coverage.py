"""Where on the sky a catalogue has galaxies, as a MOC (IVOA recommendation MOC 2.0)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.publication.editions import Edition

if TYPE_CHECKING:
    from mocpy import MOC

_CENTRE_ORDER = 5


def coverage(cells: NDArray[np.bool_]) -> MOC:
    """The MOC of some cells.

    Parameters
    ----------
    cells : ndarray, shape (12 * 4**order,), bool
        Nested HEALPix pixels.
    """
    from mocpy import MOC

    order = order_of(cells)
    return MOC.from_healpix_cells(np.flatnonzero(cells).astype(np.uint64), order, order)


def order_of(cells: NDArray[np.bool_]) -> int:
    """The order of the pixels of a whole sky."""
    return (len(cells) // 12).bit_length() // 2


def publish_coverage(cells: NDArray[np.bool_], edition: Edition) -> None:
    """Write it as FITS and as JSON."""
    for form in ("fits", "json"):
        edition.put(f"coverage.{form}", as_file(cells, form))


def as_file(cells: NDArray[np.bool_], form: str) -> bytes:
    """What a file of it holds: ``fits`` or ``json``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "moc"
        coverage(cells).save(path, format=form)
        return path.read_bytes()


def view_of(cells: NDArray[np.bool_]) -> tuple[float, float, float]:
    """A view that shows all cells, more or less: right ascension, declination and width, in degrees."""
    import cdshealpix

    order = min(order_of(cells), _CENTRE_ORDER)
    coarse = cells.reshape(12 * 4**order, -1).any(axis=1)
    lon, lat = cdshealpix.healpix_to_lonlat(np.flatnonzero(coarse).astype(np.uint64), order)
    ra, dec = np.asarray(lon.rad), np.asarray(lat.rad)
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    mean = points.mean(axis=1)
    length = float(np.linalg.norm(mean))
    if length < 0.1:  # all over the sky
        return 0.0, 0.0, 180.0
    mean /= length
    radius = float(np.degrees(np.arccos(np.clip(mean @ points, -1, 1)).max()))
    side = float(np.degrees(np.sqrt(np.pi / 3 / 4**order)))
    ra_0, dec_0 = np.degrees(np.arctan2(mean[1], mean[0])) % 360, np.degrees(np.arcsin(mean[2]))
    return float(ra_0), float(dec_0), min(2 * radius + 2 * side, 180.0)
