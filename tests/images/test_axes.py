"""How the sky lies in an image, against the image's own coordinate system."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clumps.finder import sky_position
from pipeline.cutting.grid import Grid
from pipeline.images.axes import SkyAxes

SIDE = 201


@given(
    angle=st.floats(0, 360),
    mirrored=st.booleans(),
    ra=st.floats(0, 360),
    dec=st.floats(-85, 85),
    scale=st.floats(0.05, 2.0),
)
def test_steps_in_the_image_lead_to_where_its_coordinates_say(
    angle: float, mirrored: bool, ra: float, dec: float, scale: float
) -> None:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(SIDE + 1) / 2, (SIDE + 1) / 2]
    wcs.wcs.cd = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(
        [scale / 3600 if mirrored else -scale / 3600, scale / 3600]
    )
    wcs.wcs.set()
    grid = Grid(wcs, SIDE, SIDE)
    axes = grid.axes_at(ra, dec)
    assert axes is not None
    x, y = (values.ravel() for values in np.meshgrid(*[np.linspace(-100, 100, 5)] * 2))
    east = x * axes.right_east + y * axes.down_east
    north = x * axes.right_north + y * axes.down_north
    ours = np.array(sky_position(ra, dec, east, north))
    theirs = np.array(grid.to_sky(x + (SIDE - 1) / 2, y + (SIDE - 1) / 2))
    apart = (ours - theirs + 180) % 360 - 180
    apart[0] *= np.cos(np.radians(dec))
    assert np.abs(apart).max() * 3600 < 0.02 * scale


def test_an_image_without_a_place_on_the_sky_has_none() -> None:
    def nowhere(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x * np.nan, y * np.nan

    assert SkyAxes.at(0, 0, nowhere) is None
