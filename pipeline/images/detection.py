"""Find galaxies in a field image and measure how large they are.

Extraction and deblending are SExtractor's (Bertin & Arnouts 1996) as ``sep`` implements them (Barbary 2016).
Radii are SDSS's Petrosian ones, from circular apertures in which the neighbours are masked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.images.petrosian import petrosian

MASKED_AREA = 5
"""Sources of at least so many pixels are kept out of their neighbours' apertures."""

RADIUS_STEP = 0.5
"""Spacing of the growth curve's apertures, in pixels."""

SPIKE_ANNULUS = (1.3, 2.0)
"""Where diffraction spikes stand free of a star's core, in 90 % radii."""


_CENTRALITY = 5000.0
"""How fast salience falls with the distance from the centre (see `salience`), in frame pixels²."""


class DetectionCriteria(StrictModel):
    """What counts as a galaxy that can be classified.

    The defaults suit a deep colour picture sampled at about its own resolution.
    """

    background_pixels: int = Field(default=128, ge=16)
    """Mesh size of the background map; must be far larger than any galaxy, or halos are taken for sky."""

    threshold: float = Field(default=2.5, gt=0)
    """How many times the background noise a source's pixels must exceed."""

    minimum_area: int = Field(default=50, ge=MASKED_AREA)
    """A source must have this many pixels above the threshold; smaller ones aren't measured."""

    deblend_levels: int = Field(default=32, ge=1)
    """Number of brightness levels between threshold and peak at which a source may be split."""

    deblend_contrast: float = Field(default=0.005, gt=0, le=1)
    """Fraction of the flux that makes a peak a separate source: neighbours have it, knots in arms don't."""

    psf_fwhm: float = Field(default=1.5, gt=0)
    """FWHM of a point source, in pixels."""

    minimum_extent: float = Field(default=1.5, ge=1)
    """Half-light radius relative to a point source's (half of `psf_fwhm`): drops stars, which are near 1."""

    maximum_spikes: float = Field(default=0.13, ge=0, le=1)
    """How fourfold the light around a source may be: drops saturated stars with diffraction spikes."""

    minimum_radius: float = Field(default=5.0, gt=0)
    """Petrosian 90 % radius in pixels: drops sources too small to show a shape."""

    minimum_peak: float = Field(default=25.0, ge=0)
    """Brightest pixel relative to the background noise: drops fragments whose shape is noise."""

    minimum_inside: float = Field(default=0.85, ge=0, le=1)
    """Fraction of the circle of the 90 % radius inside the image: drops sources cut off by its border."""


@dataclass(frozen=True)
class DetectedSource:
    """A source in a field image; lengths in pixels.

    Attributes
    ----------
    x, y : float
        Column and row of the flux-weighted centre; the first pixel's centre is (0, 0).
    petrosian_radius, radius, half_light_radius : float
        Petrosian radius, and the radii that hold 90 % and 50 % of the Petrosian flux.
    flux : float
        Petrosian flux.
    peak : float
        Brightest pixel, in units of the background's noise.
    ellipticity : float
        1 - b/a of the second moments.
    area : int
        Pixels above the threshold.
    spikes : float
        Strength of the fourfold pattern around the source, above that of any lower order; see `spikes`.
    inside : float
        Share of the circle of `radius` that lies in the field.
    """

    x: float
    y: float
    petrosian_radius: float
    radius: float
    half_light_radius: float
    flux: float
    peak: float
    ellipticity: float
    area: int
    spikes: float
    inside: float

    @property
    def concentration(self) -> float:
        """SDSS's concentration R90 / R50: about 2.3 for a disk, above 2.6 for an elliptical."""
        return self.radius / self.half_light_radius


def salience(area: NDArray[np.floating], distance: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much each of a picture's sources counts as the galaxy: area × exp(-d²/5000).

    Dieleman, Willett & Dambre 2015, section 7.1.

    Parameters
    ----------
    area : ndarray, shape (n,)
        In any unit.
    distance : ndarray, shape (n,)
        d from the frame's middle, in frame pixels.
    """
    return np.asarray(area * np.exp(-np.square(distance) / _CENTRALITY))


def rejection(source: DetectedSource, criteria: DetectionCriteria) -> str | None:
    """Why a source is no galaxy that can be classified; None if it is one.

    Returns
    -------
    str or None
        ``point_source``, ``spikes``, ``small``, ``faint`` or ``border``: the first criterion it fails.
    """
    if source.half_light_radius < criteria.minimum_extent * criteria.psf_fwhm / 2:
        return "point_source"
    if source.spikes > criteria.maximum_spikes:
        return "spikes"
    if source.radius < criteria.minimum_radius:
        return "small"
    if source.peak < criteria.minimum_peak:
        return "faint"
    if source.inside < criteria.minimum_inside:
        return "border"
    return None


def select_galaxies(
    sources: list[DetectedSource], criteria: DetectionCriteria
) -> tuple[list[DetectedSource], dict[str, int]]:
    """The galaxies among sources, and how many sources each criterion turned away."""
    reasons = [rejection(source, criteria) for source in sources]
    galaxies = [source for source, reason in zip(sources, reasons, strict=True) if reason is None]
    return galaxies, dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))


def detect_sources(
    image: NDArray[np.floating],
    criteria: DetectionCriteria,
    light: NDArray[np.floating] | None = None,
) -> list[DetectedSource]:
    """Every source of the minimum area that has a Petrosian radius, from the brightest to the faintest.

    Parameters
    ----------
    image : ndarray, shape (height, width, bands), float
        The field. Sources are detected in the mean of the bands, and looked at for spikes in each: a spike's
        colour changes along it and from filter to filter.
    criteria
        Those of extraction are applied here; those of selection by `select_galaxies`.
    light : ndarray, shape (height, width, bands), float, optional
        What radii and fluxes are measured in, if `image` was brightened for the eye; `image` if None.

    Raises
    ------
    InputError
        If the arrays don't have one shape of three dimensions, hold a value that isn't finite, or sources too
        blended to be told apart.
    """
    light = image if light is None else light
    if image.ndim != 3 or image.shape != light.shape:
        raise InputError(
            f"cannot detect sources in arrays of shape {image.shape} and {light.shape}; "
            "expected (height, width, bands), twice the same"
        )
    if not (np.isfinite(image).all() and np.isfinite(light).all()):
        raise InputError("cannot detect sources: the field has values that aren't finite; replace them")
    bands = [_without_background(image[..., band], criteria)[0] for band in range(image.shape[2])]
    detection, noise = _without_background(image.mean(axis=2), criteria)
    measurement, _ = _without_background(light.mean(axis=2), criteria)
    try:
        detections, segments = sep.extract(
            detection,
            criteria.threshold,
            err=noise,
            minarea=MASKED_AREA,
            deblend_nthresh=criteria.deblend_levels,
            deblend_cont=criteria.deblend_contrast,
            segmentation_map=True,
        )
    except Exception as error:  # sep raises plain Exception when a buffer of its own is full
        raise InputError(f"cannot detect sources: {error}; raise the threshold") from error
    sources = [
        _measure(row, number, segments, measurement, bands, noise)
        for number, row in enumerate(detections, start=1)
        if row["npix"] >= criteria.minimum_area
    ]
    return sorted((source for source in sources if source), key=lambda s: (-s.flux, s.y, s.x))


def spikes(
    bands: list[NDArray[np.float32]], x: float, y: float, radius: float, others: NDArray[np.bool_]
) -> float:
    """How fourfold the light around a point is, at 1.3 to 2 of its radii.

    With a_k = |Σ I exp(ikθ)| / Σ |I| over the annulus, this is a_4 - max(a_1, a_2, a_3) in the band where
    that is largest. The four vanes of a secondary mirror's spider make a_4 stand out; a disk seen edge-on
    makes a_2 larger than a_4.

    Parameters
    ----------
    bands : list of ndarray, shape (height, width), float32
        Without background.
    others : ndarray, shape (height, width), bool
        Pixels of other sources, left out.
    """
    inner, outer = (share * radius for share in SPIKE_ANNULUS)
    rows, columns = _window(y, outer, others.shape[0]), _window(x, outer, others.shape[1])
    dy = np.arange(rows.start, rows.stop)[:, None] - y
    dx = np.arange(columns.start, columns.stop)[None, :] - x
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    annulus = (distance > inner) & (distance < outer) & ~others[rows, columns]
    waves = np.exp(1j * np.arange(1, 5)[:, None] * angle[annulus])
    strongest = -1.0
    for band in bands:
        values = band[rows, columns][annulus]
        total = float(np.abs(values).sum())
        if total > 0:
            amplitudes = np.abs(waves @ values) / total
            strongest = max(strongest, float(amplitudes[3] - amplitudes[:3].max()))
    return strongest


def _window(center: float, reach: float, size: int) -> slice:
    return slice(max(int(center - reach), 0), min(int(center + reach) + 2, size))


def _without_background(
    image: NDArray[np.floating], criteria: DetectionCriteria
) -> tuple[NDArray[np.float32], float]:
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    background = sep.Background(pixels, bw=criteria.background_pixels, bh=criteria.background_pixels)
    return pixels - background.back(), float(background.globalrms)


def _measure(
    row: Any,
    number: int,
    segments: NDArray[np.int32],
    light: NDArray[np.float32],
    bands: list[NDArray[np.float32]],
    noise: float,
) -> DetectedSource | None:
    """Measure source `number` of the segmentation map; `row` is what ``sep.extract`` says of it."""
    x, y = float(row["x"]), float(row["y"])
    extent = max(row["xmax"] - x, x - row["xmin"], row["ymax"] - y, y - row["ymin"])
    # Petrosian radii lie within the isophote; twice 1.25 of them, with room to spare.
    radii = np.arange(RADIUS_STEP, 4 * extent + 10, RADIUS_STEP)
    growth, _, _ = sep.sum_circle(light, x, y, radii, segmap=segments, seg_id=number, subpix=5)
    measured = petrosian(np.asarray(growth, dtype=np.float64), radii)
    if measured is None or measured.radius_50 <= 0:
        return None
    reach = measured.radius_90
    return DetectedSource(
        x=x,
        y=y,
        petrosian_radius=measured.radius,
        radius=reach,
        half_light_radius=measured.radius_50,
        flux=measured.flux,
        peak=float(row["peak"]) / noise,
        ellipticity=1 - float(row["b"] / row["a"]),
        area=int(row["npix"]),
        spikes=spikes(bands, x, y, reach, (segments != 0) & (segments != number)),
        inside=_inside(x, y, reach, light.shape[1], light.shape[0]),
    )


def _inside(x: float, y: float, radius: float, width: int, height: int) -> float:
    """Share of a circle that lies in the field, from a grid of points."""
    steps = np.linspace(-1, 1, 41)
    unit_x, unit_y = (grid.ravel() for grid in np.meshgrid(steps, steps))
    disk = np.hypot(unit_x, unit_y) <= 1
    columns, rows = x + radius * unit_x[disk], y + radius * unit_y[disk]
    within = (columns >= -0.5) & (columns < width - 0.5) & (rows >= -0.5) & (rows < height - 0.5)
    return float(within.mean())
