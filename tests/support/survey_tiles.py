"""Tiles of a survey for tests: an analytic sky, which is the same on whatever grid it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import NDArray

SCALE = 0.262
"""Arcseconds a pixel."""

BANDS = ("z", "r", "g")


def wcs_at(
    ra: float,
    dec: float,
    crpix: tuple[float, float],
    angle: float = 0.0,
    scale: float = SCALE,
    flip: bool = True,
) -> WCS:
    """A tangent plane with a rotation in degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], list(crpix)
    turn, step = np.radians(angle), scale / 3600
    cos, sin = np.cos(turn), np.sin(turn)
    east = -1 if flip else 1
    wcs.wcs.cd = step * np.array([[east * cos, -east * sin], [sin, cos]])
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


@dataclass(frozen=True)
class Sky:
    """Galaxies of Gaussian light on a slope."""

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    seed: int = 0

    def light(self, wcs: WCS, width: int, height: int, band: str) -> NDArray[np.float32]:
        """Its flux in each pixel of an image."""
        rng = np.random.default_rng(self.seed)
        zoom = SCALE / 3600 / float(np.sqrt(proj_plane_pixel_area(wcs)))
        widths, peaks = zoom * rng.uniform(4, 9, len(self.ra)), rng.uniform(0.5, 5, len(self.ra))
        image = np.full((height, width), 0.01 * (1 + BANDS.index(band)), np.float32)
        xs, ys = wcs.all_world2pix(self.ra, self.dec, 0)
        for x, y, sigma, peak in zip(xs, ys, widths, peaks, strict=True):
            reach = int(6 * sigma)
            left, right = max(int(x) - reach, 0), min(int(x) + reach + 1, width)
            low, high = max(int(y) - reach, 0), min(int(y) + reach + 1, height)
            if left < right and low < high:
                v, u = np.mgrid[low:high, left:right]
                shape = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2))
                image[low:high, left:right] += (peak * (1 + 0.3 * BANDS.index(band)) * shape).astype(
                    np.float32
                )
        return image / np.float32(zoom**2)


def survey_file(folder: Path, **changes: object) -> Path:
    """A survey file with frames of 24 pixels."""
    path = folder / "survey.yaml"
    values = {
        "name": "test sky",
        "color": {
            "bands": list(BANDS),
            "scales": [2.2, 3.4, 6.0],
            "stretch": 0.231,
            "Q": 4.62,
            "minimum": -0.03,
        },
        "frame": {"arcsec": 24 * SCALE},
    }
    path.write_text(yaml.safe_dump(values | changes))
    return path


def write_band(path: Path, pixels: NDArray[np.float32], wcs: WCS | None, compressed: bool = False) -> Path:
    """An image as FITS."""
    header = fits.Header() if wcs is None else wcs.to_header()
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    options = {"compression_type": "GZIP_2", "quantize_level": 0} if compressed else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), kind(pixels, header, **options)]).writeto(path, overwrite=True)
    return path


def write_table(
    path: Path, ids: Sequence[str], ra: Sequence[float], dec: Sequence[float], **more: object
) -> Path:
    """A CSV of positions."""
    names = ["object_id", "ra", "dec", *more]
    columns = [ids, ra, dec, *more.values()]
    lines = [",".join(names)] + [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def tile_grid(
    folder: Path,
    sky: Sky,
    ra: float,
    dec: float,
    side: int,
    size: int,
    step: int,
    angle: float = 0.0,
    shared: bool = True,
    bands: Sequence[str] = BANDS,
    compressed: bool = False,
) -> dict[str, WCS]:
    """``side`` × ``side`` tiles of ``size`` pixels, ``step`` apart, on one pixel grid or each on its own."""
    whole = wcs_at(ra, dec, (step * side / 2, step * side / 2), angle)
    made = {}
    for i in range(side):
        for j in range(side):
            if shared:
                wcs = wcs_at(ra, dec, (step * side / 2 - i * step, step * side / 2 - j * step), angle)
            else:
                middle = whole.all_pix2world([[i * step + size / 2, j * step + size / 2]], 0)[0]
                turn = angle + 3.0 * ((i + j) % 2)
                wcs = wcs_at(float(middle[0]), float(middle[1]), (size / 2 + 1.3, size / 2 + 0.6), turn)
            name = f"{i}{j}"
            made[name] = wcs
            for band in bands:
                pixels = sky.light(wcs, size, size, band)
                end = ".fits.fz" if compressed else ".fits"
                write_band(folder / f"sky-{name}-{band}{end}", pixels, wcs, compressed)
    return made
