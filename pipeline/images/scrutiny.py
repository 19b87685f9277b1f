"""What is in the middle of a galaxy's frame, in numbers that tell galaxies from what is none.

Sources are SExtractor's (Bertin & Arnouts 1996) as ``sep`` finds them, in the mean of the colours at about
100 pixels a frame. Lengths are hundredths of the frame's width.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import sep
from numpy.typing import NDArray

SIDE = 100
"""Pixels of a frame at least, when it is looked at; frames of fewer stay as they are."""

_CLOSE_SIDE, _CLOSE_REACH = 200, 36
"""Pixels of a frame when its middle is looked at closely, and how many of them around the galaxy are."""

_RINGS = (0.0, 1.5, 2.5, 3.5, 4.5, 6.0, 8.0, 11.0, 15.0, 20.0, 27.0, 71.0)
_NEIGHBOURHOODS = (8.0, 15.0, 30.0)
_SKY_SHARE = 0.3
_MESH = 32
_THRESHOLD, _LEAST_AREA = 2.5, 4
_LEVELS = 8
_LEAST_NOISE = 0.7
_BRIGHTEST = 250
_DISTINCT = 8.0
"""Peak over the noise of a source that shows how sharp the picture is."""

_REACH, _MOST_COMPARED = 4.0, 3
"""Apertures in semi-major axes, and how many sources are compared with the galaxy."""

_ALONE, _CROWD = -9.0, 999.0
_ANGLES = 24
_LINE_WIDTH = 2.0
_LINE_SURROUNDINGS = 21


class Scrutiny(NamedTuple):
    """Measures of one frame; brightness in levels of 255, lengths in hundredths of the frame.

    Attributes
    ----------
    distance
        Of the source that is taken for the galaxy from the frame's middle; 71 if there is none.
    major, minor, area, half_light, concentration
        Semi-axes of its second moments, logarithm of its area above the threshold, radius of half of its
        light, and the 90 % radius over that.
    peak, flux, width
        Logarithms of its peak over the noise, of its light, and of its light over its peak.
    point_ratio
        Its half-light radius over that of the most compact other source that is bright enough to show how
        sharp the picture is; 0 where there is none.
    colour_offset, peak_offset, asymmetry
        Distance of its centres in red and in blue; of its peak from its centre; and how much of its light
        isn't there when it is turned by 180°. They tell two stars from one galaxy.
    red, blue
        Shares of its light.
    near, nearer, nearest
        Logarithm of the light of the brightest neighbour over its own within 30, 15 and 8.
    sources, brightest_other
        How many there are, and the peak of the brightest that isn't the galaxy.
    top
        Brightest colour in its middle.
    saturated
        Share of the frame's pixels with a colour at its brightest.
    line
        Share of a line across the frame that stands out from what is beside it.
    sky, sky_red, sky_blue, gradient, noise, smoothness
        Level of the background, its colours, the difference of opposite sides, its noise, and how much alike
        neighbouring pixels are.
    ring_1 ... ring_10
        Mean light in rings around the source, over that in its middle.
    close_major ... close_nearest
        The same of the source among twice as many pixels a side, of which only those around it are looked at:
        a star is sharper there, and two are parted.
    core, skirt
        Mean light at 1 to 2 and at 2 to 3.5 from its centre, over that nearer by.
    redder, bluer
        How much its shares in red and in blue are larger in its middle than around: a star has one colour.
    """

    distance: float
    major: float
    minor: float
    area: float
    half_light: float
    concentration: float
    peak: float
    flux: float
    width: float
    point_ratio: float
    colour_offset: float
    peak_offset: float
    asymmetry: float
    red: float
    blue: float
    near: float
    nearer: float
    nearest: float
    sources: float
    brightest_other: float
    top: float
    saturated: float
    line: float
    sky: float
    sky_red: float
    sky_blue: float
    gradient: float
    noise: float
    smoothness: float
    ring_1: float
    ring_2: float
    ring_3: float
    ring_4: float
    ring_5: float
    ring_6: float
    ring_7: float
    ring_8: float
    ring_9: float
    ring_10: float
    close_major: float
    close_minor: float
    close_half_light: float
    close_concentration: float
    close_width: float
    close_point_ratio: float
    close_colour_offset: float
    close_peak_offset: float
    close_asymmetry: float
    close_nearer: float
    close_nearest: float
    core: float
    skirt: float
    redder: float
    bluer: float


def scrutinise(
    image: NDArray[np.uint8],
    center: tuple[float, float] | None = None,
    frame_pixels: float | None = None,
) -> Scrutiny:
    """Measure what is in a galaxy's frame.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    center
        (x, y) of the galaxy in the image; the middle if None.
    frame_pixels
        Image pixels that the frame covers; the image's larger side if None.
    """
    full = _window(image, center, frame_pixels)
    colours = _shrunken(full, SIDE)
    light = _grey(colours)
    sky = float(np.partition(light.ravel(), int(_SKY_SHARE * light.size))[int(_SKY_SHARE * light.size)])
    medians = np.median(colours[::2, ::2].reshape(-1, 3), axis=0)
    background = sep.Background(light, bw=_MESH, bh=_MESH)
    noise = max(float(background.globalrms), _LEAST_NOISE)
    above = light - background.back()
    of_source = _source(above, colours - medians.astype(np.float32), noise, SIDE / max(light.shape))
    steps = np.abs(light[:, 1:] - light[:, :-1]), np.abs(light[:, 3:] - light[:, :-3])
    rows, columns = light.mean(axis=1), light.mean(axis=0)
    third = max(len(rows) // 3, 1), max(len(columns) // 3, 1)
    height, width = light.shape
    x, y = of_source.pop("x", (width - 1) / 2), of_source.pop("y", (height - 1) / 2)
    return Scrutiny(
        **of_source,
        top=float(np.max(colours[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2], initial=0.0)),
        saturated=float((_brightest(full) >= _BRIGHTEST).mean()),
        line=_line(light, noise),
        sky=sky,
        sky_red=float(medians[0] - medians[1]),
        sky_blue=float(medians[2] - medians[1]),
        gradient=float(
            max(
                abs(rows[: third[0]].mean() - rows[-third[0] :].mean()),
                abs(columns[: third[1]].mean() - columns[-third[1] :].mean()),
            )
        ),
        noise=noise,
        smoothness=float(steps[0].mean() / (steps[1].mean() + 0.01)),
        **_rings(light, sky, x, y),
        **_closely(_shrunken(full, _CLOSE_SIDE), (x + 0.5) / width, (y + 0.5) / height),
    )


def _window(
    image: NDArray[np.uint8], center: tuple[float, float] | None, frame_pixels: float | None
) -> NDArray[np.uint8]:
    """What of an image lies in the frame."""
    height, width = image.shape[:2]
    side = int(min(frame_pixels or max(height, width), max(height, width)))
    x, y = center or ((width - 1) / 2, (height - 1) / 2)
    left, top = (max(0, round(place - (side - 1) / 2)) for place in (x, y))
    return image[top : top + side, left : left + side]


def _grey(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((colours[..., 0] + colours[..., 1] + colours[..., 2]) / 3, np.float32)


def _brightest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def _shrunken(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Means of squares of pixels, as many that `side` are left at least."""
    every = max(1, max(pixels.shape[:2]) // side)
    if every == 1:
        return pixels.astype(np.float32)
    height, width = (max(size // every, 1) * every for size in pixels.shape[:2])
    nothing = np.zeros((), np.uint16)
    down = sum((pixels[first:height:every].astype(np.uint16) for first in range(every)), nothing)
    sums = sum((down[:, first:width:every] for first in range(every)), nothing)
    return np.asarray(sums, np.float32) / np.float32(every**2)


def _source(
    above: NDArray[np.float32], colours: NDArray[np.float32], noise: float, unit: float
) -> dict[str, float]:
    """Measures of the source in the middle, and of its neighbours; `unit` is what a pixel measures."""
    middle_y, middle_x = ((size - 1) / 2 for size in above.shape)
    try:
        sources, segments = sep.extract(
            above,
            _THRESHOLD,
            err=noise,
            minarea=_LEAST_AREA,
            deblend_nthresh=_LEVELS,
            segmentation_map=True,
        )
    except Exception:  # noqa: BLE001 - sep's plain Exception, where a buffer of its own is full: a crowd
        return _NOTHING | {"sources": _CROWD}
    if not len(sources):
        return dict(_NOTHING)
    number = int(segments[round(middle_y), round(middle_x)]) - 1
    distances = np.hypot(sources["x"] - middle_x, sources["y"] - middle_y)
    number = int(distances.argmin()) if number < 0 else number
    one = sources[number]
    half, outer = (float(radius) for radius in _radii(above, sources[[number]], (0.5, 0.9))[0])
    half = max(half, 0.1)
    others = np.arange(len(sources)) != number
    distinct = np.flatnonzero(others & (sources["peak"] > _DISTINCT * noise))
    compact = distinct[np.argsort(sources["a"][distinct])][:_MOST_COMPARED]
    points = _radii(above, sources[compact], (0.5,)) if len(compact) else np.zeros(1)
    flux = max(float(one["flux"]), 1e-3)
    ratios = np.log(np.maximum(sources["flux"], 1e-3) / flux)
    apart = unit * np.hypot(sources["x"] - one["x"], sources["y"] - one["y"])
    nearest, nearer, near = (
        float(ratios[others & (apart < limit)].max(initial=_ALONE)) for limit in _NEIGHBOURHOODS
    )
    return {
        "x": float(one["x"]),
        "y": float(one["y"]),
        "distance": unit * float(distances[number]),
        "major": unit * float(one["a"]),
        "minor": unit * float(one["b"]),
        "area": float(np.log(one["npix"] * unit**2)),
        "half_light": unit * half,
        "concentration": outer / half,
        "peak": float(np.log(max(one["peak"], 1e-3) / noise)),
        "flux": float(np.log(flux)),
        "width": float(np.log(flux / max(one["peak"], 1e-3) * unit**2)),
        "point_ratio": half / float(points.min()) if points.min() > 0 else 0.0,
        "peak_offset": unit * float(np.hypot(one["xpeak"] - one["x"], one["ypeak"] - one["y"])),
        "near": near,
        "nearer": nearer,
        "nearest": nearest,
        "sources": float(len(sources)),
        "brightest_other": float(sources["peak"][others].max(initial=0.0)),
        **_stamp(colours, float(one["x"]), float(one["y"]), 2.0 * float(one["a"]) + 1.0, unit),
    }


def _radii(
    above: NDArray[np.float32], sources: NDArray[np.void], shares: tuple[float, ...]
) -> NDArray[np.float64]:
    """Radii that hold shares of sources' light, (sources, shares)."""
    reach = _REACH * sources["a"] + 1
    radii, _ = sep.flux_radius(above, sources["x"], sources["y"], reach, list(shares), subpix=3)
    return np.asarray(radii, np.float64).reshape(len(sources), len(shares))


_MEASURED_OF_SOURCE = Scrutiny._fields[: Scrutiny._fields.index("top")]
_NOTHING = dict.fromkeys(_MEASURED_OF_SOURCE, 0.0) | {"distance": 71.0}
_NOTHING |= dict.fromkeys(("near", "nearer", "nearest"), _ALONE)


def _stamp(colours: NDArray[np.float32], x: float, y: float, reach: float, unit: float) -> dict[str, float]:
    """Colours of a source, how far apart these are, and how unlike its turned self it is."""
    column, row, side = round(x), round(y), max(2, round(reach))
    height, width = colours.shape[:2]
    side = min(side, row, column, height - 1 - row, width - 1 - column)
    stamp = (
        colours[row - side : row + side + 1, column - side : column + side + 1] if side > 0 else colours[:0]
    )
    light = np.maximum(stamp, 0.0)
    totals = light.sum(axis=(0, 1))
    if side < 1 or totals.min() <= 0:
        return {"red": 0.0, "blue": 0.0, "colour_offset": 0.0, "asymmetry": 0.0}
    places = np.arange(-side, side + 1)
    down = (light.sum(axis=1) * places[:, None]).sum(axis=0) / totals
    right = (light.sum(axis=0) * places[:, None]).sum(axis=0) / totals
    grey = _grey(stamp)
    return {
        "red": float(totals[0] / totals.sum()),
        "blue": float(totals[2] / totals.sum()),
        "colour_offset": unit * float(np.hypot(down[0] - down[2], right[0] - right[2])),
        "asymmetry": float(np.abs(grey - grey[::-1, ::-1]).sum() / max(float(np.abs(grey).sum()), 1e-3)),
    }


def _closely(colours: NDArray[np.float32], across: float, down: float) -> dict[str, float]:
    """Measures of what is around a place of a frame, given as shares of its width and height."""
    light = _grey(colours)
    height, width = light.shape
    unit = SIDE / max(height, width)
    medians = np.median(colours[::4, ::4].reshape(-1, 3), axis=0).astype(np.float32)
    background = sep.Background(light, bw=2 * _MESH, bh=2 * _MESH)
    noise = max(float(background.globalrms), _LEAST_NOISE)
    column, row = int(across * width), int(down * height)
    left, top = max(column - _CLOSE_REACH, 0), max(row - _CLOSE_REACH, 0)
    part = slice(top, row + _CLOSE_REACH + 1), slice(left, column + _CLOSE_REACH + 1)
    above = np.ascontiguousarray((light - background.back())[part])
    near = np.ascontiguousarray(colours[part] - medians)
    seen = _source(above, near, noise, unit)
    x, y = seen.get("x", across * width - 0.5 - left), seen.get("y", down * height - 0.5 - top)
    distance = unit * np.hypot(np.arange(above.shape[1]) - x, np.arange(above.shape[0])[:, None] - y)
    middle, core, skirt = (
        float(np.mean(above, where=ring)) if ring.any() else 0.0
        for ring in (distance <= 1, (distance > 1) & (distance <= 2), (distance > 2) & (distance <= 3.5))
    )
    reach = max(seen["major"], 0.75)
    inner, outer = (
        _shares(near[where]) for where in (distance <= reach, (distance > reach) & (distance <= 2.5 * reach))
    )
    return {
        **{name: seen[name.removeprefix("close_")] for name in Scrutiny._fields if name.startswith("close_")},
        "core": core / max(middle, 0.5),
        "skirt": skirt / max(middle, 0.5),
        "redder": float(inner[0] - outer[0]),
        "bluer": float(inner[2] - outer[2]),
    }


def _shares(colours: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shares of light in red, green and blue."""
    totals = np.maximum(colours.sum(axis=0, dtype=np.float64), 1e-3)
    return np.asarray(totals / totals.sum())


def _rings(light: NDArray[np.float32], sky: float, x: float, y: float) -> dict[str, float]:
    """Mean light in rings around a place, over that in the middle."""
    unit = SIDE / max(light.shape)
    distance = unit * np.hypot(np.arange(light.shape[1]) - x, np.arange(light.shape[0])[:, None] - y)
    ring = np.searchsorted(_RINGS[1:-1], distance.ravel(), side="right")
    counts = np.bincount(ring, minlength=len(_RINGS) - 1)
    means = np.bincount(ring, (light - sky).ravel(), minlength=len(_RINGS) - 1) / np.maximum(counts, 1)
    shares = means / max(float(means[0]), 0.5)
    return {f"ring_{number}": float(share) for number, share in enumerate(shares[1:], start=1)}


def _line(light: NDArray[np.float32], noise: float) -> float:
    """Largest share of a line across a frame that stands out from what is beside it."""
    from scipy.ndimage import uniform_filter  # slow to load, and only scrutiny needs it

    height, width = light.shape
    distinct = light - uniform_filter(light, _LINE_SURROUNDINGS) > noise
    places, lengths = _lines(height, width)
    longest = 0.0
    where = np.flatnonzero(distinct)
    for place, length in zip(places, lengths, strict=True):
        counts = np.bincount(place[where], minlength=len(length))
        longest = max(longest, float((counts / length).max()))
    return longest


@functools.lru_cache(maxsize=8)
def _lines(height: int, width: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float64]]]:
    """For each angle, in which line each pixel lies, and of how many; infinite where it cuts a corner."""
    rows, columns = (grid.ravel() for grid in np.mgrid[:height, :width])
    places, lengths = [], []
    for angle in np.arange(_ANGLES) * np.pi / _ANGLES:
        rank = np.floor((columns * np.cos(angle) + rows * np.sin(angle)) / _LINE_WIDTH).astype(np.int64)
        place = rank - rank.min()
        length = np.bincount(place).astype(np.float64)
        length[length < 0.7 * _LINE_WIDTH * min(height, width)] = np.inf
        places.append(place)
        lengths.append(length)
    return places, lengths
