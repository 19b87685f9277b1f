from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.detection import (
    DetectionCriteria,
    detect_sources,
    rejection,
    select_galaxies,
    spikes,
)
from pipeline.images.petrosian import petrosian

PSF_SIGMA = 1.2
CRITERIA = DetectionCriteria(psf_fwhm=2.355 * PSF_SIGMA, minimum_radius=5)

DISKS = [  # x, y, scale length, axis ratio, position angle in degrees, central brightness
    (60.3, 70.8, 4.0, 1.0, 0, 60),
    (180.7, 60.2, 6.0, 1.0, 0, 50),
    (310.5, 80.5, 3.0, 1.0, 0, 80),
    (90.1, 200.4, 5.0, 0.6, 30, 60),
    (230.9, 210.1, 8.0, 1.0, 0, 40),
    (330.2, 300.6, 5.0, 0.4, 110, 70),
    (100.0, 320.0, 7.0, 0.7, 75, 45),
]
STARS = [
    (150, 140, 3000),
    (290.4, 160.7, 900),
    (40.5, 300.2, 6000),
    (220.3, 330.8, 400),
    (360.1, 200.9, 1500),
]


def blur(image):
    offsets = np.arange(-8, 9)
    kernel = np.exp(-(offsets**2) / (2 * PSF_SIGMA**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, kernel, mode="same")
    return image


def exponential_disk(x, y, scale, axis_ratio, angle, brightness, shape):
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    along = (columns - x) * cos + (rows - y) * sin
    across = (rows - y) * cos - (columns - x) * sin
    return brightness * np.exp(-np.hypot(along, across / axis_ratio) / scale)


def petrosian_90(disk_image, x, y):
    """SDSS's Petrosian R90 of one noiseless disk, straight from the definition, from its sorted pixels."""
    rows, columns = np.mgrid[0 : disk_image.shape[0], 0 : disk_image.shape[1]]
    distance = np.hypot(columns - x, rows - y).ravel()
    order = np.argsort(distance)
    distance, light = distance[order], disk_image.ravel()[order]
    total = np.cumsum(light)
    count = np.arange(1, len(light) + 1)

    def within(radius):
        last = np.searchsorted(distance, radius) - 1
        return total[last], count[last]

    for radius in np.arange(2, 80, 0.05):
        (inner, n_inner), (outer, n_outer), (all_light, n) = map(
            within, (0.8 * radius, 1.25 * radius, radius)
        )
        if (outer - inner) / (n_outer - n_inner) < 0.2 * all_light / n:
            return distance[np.searchsorted(total, 0.9 * within(2 * radius)[0])]
    raise AssertionError("no Petrosian radius")


@pytest.fixture(scope="module")
def scene():
    shape = (380, 400)
    light = np.zeros(shape)
    for disk in DISKS:
        light += exponential_disk(*disk, shape=shape)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    light = blur(light)
    for x, y, flux in STARS:
        light += (
            flux
            / (2 * np.pi * PSF_SIGMA**2)
            * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * PSF_SIGMA**2))
        )
    noise = np.random.default_rng(1).normal(0, 1, (*shape, 3))
    image = light[..., None] * [1.1, 1.0, 0.9] + 25 + 0.01 * columns[..., None] + noise
    return detect_sources(image, CRITERIA)


def nearest(sources, x, y):
    return min(sources, key=lambda source: np.hypot(source.x - x, source.y - y))


@pytest.mark.parametrize("disk", DISKS, ids=lambda disk: f"h{disk[2]:g}-q{disk[3]:g}")
def test_disks_are_recovered(scene, disk):
    x, y = disk[:2]
    galaxies, _ = select_galaxies(scene, CRITERIA)
    found = nearest(galaxies, x, y)
    assert np.hypot(found.x - x, found.y - y) < 0.5
    truth = petrosian_90(exponential_disk(*disk, shape=(380, 400)), x, y)
    assert found.radius == pytest.approx(truth, rel=0.15)
    assert found.ellipticity == pytest.approx(1 - disk[3], abs=0.12)
    assert found.half_light_radius < found.radius < 2 * found.petrosian_radius
    assert found.concentration == pytest.approx(2.3, abs=0.35)


def test_stars_are_dropped_and_nothing_else_is_found(scene):
    galaxies, dropped = select_galaxies(scene, CRITERIA)
    assert len(galaxies) == len(DISKS)
    for x, y, flux in STARS:
        star = nearest(scene, x, y)
        if np.hypot(star.x - x, star.y - y) < 1:
            assert rejection(star, CRITERIA) == "point_source"
            assert star.half_light_radius == pytest.approx(1.177 * PSF_SIGMA, rel=0.12)
        else:
            assert flux < 1000, "bright stars are measured"
    assert dropped["point_source"] >= 3


def test_sources_come_brightest_first(scene):
    fluxes = [source.flux for source in scene]
    assert fluxes == sorted(fluxes, reverse=True)


def test_each_criterion_turns_away(scene):
    galaxy = select_galaxies(scene, CRITERIA)[0][-1]
    for change, reason in (
        ({"minimum_extent": 50}, "point_source"),
        ({"maximum_spikes": 0.0}, "spikes"),
        ({"minimum_radius": galaxy.radius + 0.1}, "small"),
        ({"minimum_radius": galaxy.radius - 0.1}, None),
        ({"minimum_peak": galaxy.peak + 1}, "faint"),
        ({"minimum_inside": 1.0}, None),
    ):
        assert rejection(replace(galaxy, spikes=0.01), CRITERIA.model_copy(update=change)) == reason


def test_a_galaxy_at_the_border_is_dropped():
    image = exponential_disk(100, 2, 8, 1, 0, 80, (200, 200))[..., None]
    image = image + np.random.default_rng(2).normal(10, 1, image.shape)
    (source,) = [s for s in detect_sources(image, CRITERIA) if s.radius > 8]
    assert 0.5 < source.inside < 0.8
    assert rejection(source, CRITERIA) == "border"


def test_spikes_are_fourfold():
    rows, columns = np.mgrid[0:121, 0:121] - 60.0
    halo = 100 * np.exp(-np.hypot(rows, columns) / 8)
    cross = 40 * np.exp(-np.abs(rows) / 1.5) + 40 * np.exp(-np.abs(columns) / 1.5)
    turned = 40 * np.exp(-np.abs(rows - columns) / 2) + 40 * np.exp(-np.abs(rows + columns) / 2)
    edge_on = 200 * np.exp(-np.abs(rows) / 2 - np.abs(columns) / 12)
    none = np.zeros(rows.shape, bool)
    measured = {
        name: spikes([image.astype(np.float32)], 60, 60, 15, none)
        for name, image in {
            "halo": halo,
            "star": halo + cross,
            "edge": edge_on,
            "turned": turned + halo,
        }.items()
    }
    assert measured["star"] > 0.3
    assert measured["turned"] > 0.3
    assert measured["halo"] < 0.02
    assert measured["edge"] < 0.0
    both = [(halo + cross).astype(np.float32), (halo + turned).astype(np.float32)]
    assert spikes(both, 60, 60, 15, none) > 0.3
    assert spikes([both[0] + both[1]], 60, 60, 15, none) < 0.1


def test_petrosian_of_an_exponential_disk():
    """Against the profile's own integral: growth 1 - (1 + r/h) exp(-r/h)."""
    radii = np.arange(0.5, 60, 0.5)
    scale = 5.0
    result = petrosian(1 - (1 + radii / scale) * np.exp(-radii / scale), radii)
    fine = np.linspace(0.01, 60, 60_000)
    growth = lambda r: 1 - (1 + r / scale) * np.exp(-r / scale)  # noqa: E731
    ratio = (growth(1.25 * fine) - growth(0.8 * fine)) / (1.25**2 - 0.8**2) / growth(fine)
    radius = fine[np.argmax(ratio < 0.2)]
    flux = growth(2 * radius)
    assert result is not None
    assert result.radius == pytest.approx(radius, rel=0.01)
    assert result.flux == pytest.approx(flux, rel=0.005)
    assert result.radius_90 == pytest.approx(fine[np.searchsorted(growth(fine), 0.9 * flux)], rel=0.01)
    assert result.radius_50 == pytest.approx(fine[np.searchsorted(growth(fine), 0.5 * flux)], rel=0.01)


def test_light_that_never_fades_has_no_petrosian_radius():
    radii = np.arange(0.5, 60, 0.5)
    assert petrosian(radii**2, radii) is None
    assert petrosian(-(radii**2), radii) is None
    assert petrosian(np.zeros_like(radii), radii) is None


def test_fields_that_cannot_be_searched():
    with pytest.raises(InputError, match=r"shape \(50, 50\)"):
        detect_sources(np.zeros((50, 50)), CRITERIA)
    with pytest.raises(InputError, match=r"expected \(height, width, bands\), twice the same"):
        detect_sources(np.zeros((50, 50, 3)), CRITERIA, np.zeros((50, 40, 3)))
    field = np.zeros((50, 50, 3))
    field[3, 3, 0] = np.nan
    with pytest.raises(InputError, match="aren't finite"):
        detect_sources(field, CRITERIA)


def test_an_empty_field_has_no_sources():
    field = np.random.default_rng(4).normal(10, 1, (100, 100, 1))
    assert detect_sources(field, CRITERIA) == []
