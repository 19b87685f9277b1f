"""Regions of the sky: the rows in them, no others, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from deltalake import WriterProperties, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import export_catalogue
from pipeline.catalogue.export import Box, Cone, Format, Pixels, Region, parse_box, parse_cone, parse_pixels
from pipeline.catalogue.region import healpix_pixels, positions
from pipeline.tree import DecisionTree
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue

ra = st.floats(-180, 360)
dec = st.floats(-90, 90)


@given(
    ra=ra, dec=dec, radius=st.floats(1e-6, 180), points=st.lists(st.tuples(ra, dec), min_size=1, max_size=20)
)
def test_a_cone_is_all_within_its_radius(
    ra: float, dec: float, radius: float, points: list[tuple[float, float]]
) -> None:
    center, sky = SkyCoord(ra, dec, unit="deg"), SkyCoord(points, unit="deg")
    distance = center.separation(sky).to_value(units.deg)
    inside = Cone(ra, dec, radius).contains(*np.array(points).T)
    clear = np.abs(distance - radius) > 1e-9
    assert (inside == (distance <= radius))[clear].all()


@given(ra=ra, dec=dec, radius=st.floats(1e-3, 10), angle=st.floats(0, 360))
def test_points_just_inside_and_just_outside_a_cone(
    ra: float, dec: float, radius: float, angle: float
) -> None:
    center = SkyCoord(ra, dec, unit="deg")
    for factor, expected in ((0.9999, True), (1.0001, False)):
        point = center.directional_offset_by(angle * units.deg, radius * factor * units.deg)
        place = np.array([point.ra.deg]), np.array([point.dec.deg])
        assert Cone(ra, dec, radius).contains(*place)[0] == expected


@pytest.mark.parametrize(
    ("region", "names"),
    [
        (Cone(0, 0, 0.6), {"zero", "round", "almost round", "west"}),
        (Cone(360, 0, 1e-6), {"zero", "round", "almost round"}),
        (Cone(180, 89, 1.5), {"north"}),
        (Cone(77, -90, 0.1), {"south"}),
        (Cone(150.1, 2.2, 1e-6), {"Galaxie é ζ 🌌"}),
        (Cone(20, 45, 180), {name for name, ra, dec in AWKWARD if dec is not None and dec == dec}),
        (Cone(200, 40, 0.5), set()),
        (Box(359, 1, -1, 1), {"zero", "round", "almost round", "west"}),
        (Box(0, 10, -1, 1), {"zero", "round"}),
        (Box(350, 360, -90, 90), {"south", "zero", "round", "almost round", "west"}),
        (Box(0, 360, 80, 90), {"north"}),
        (Box(-180, 180, -1, 1), {"zero", "round", "almost round", "west"}),
        (Box(150, 151, 2, 3), {"Galaxie é ζ 🌌", 'quote " comma, <xml> & co'}),
        (Pixels(0, (4,)), {"zero", "round", "almost round", "west"}),
        (Pixels(0, (0, 1, 2, 3)), {"north"}),
    ],
)
def test_the_rows_of_a_region(region: Region, names: set[str], tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD))
    out, seen = str(tmp_path / "out.parquet"), []
    exported = export_catalogue(catalogue, out, tree, "parquet", seen.append, region)
    assert exported.rows == len(names)
    assert set(pq.read_table(out)["object_id"].to_pylist()) == names
    assert sum(seen) == len(AWKWARD)


@pytest.mark.parametrize("form", ["csv", "kaggle", "parquet", "fits", "votable", "hats"])
def test_every_format_has_the_same_rows(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    """Among several row groups, of which some have no such row."""
    rng = np.random.default_rng(1)
    places = [(f"g{i}", float(r), float(d)) for i, (r, d) in enumerate(rng.uniform(0, 20, (3000, 2)))]
    places.sort(key=lambda place: place[2])
    catalogue, region = str(tmp_path / "catalogue"), Cone(5, 5, 1)
    write_deltalake(
        catalogue, galaxies(tree, places), writer_properties=WriterProperties(max_row_group_size=500)
    )
    center = SkyCoord(region.ra, region.dec, unit="deg")
    inside = center.separation(SkyCoord([place[1:] for place in places], unit="deg")).deg <= region.radius
    names = [place[0] for place, within in zip(places, inside, strict=True) if within]
    assert 5 < len(names) < 100
    out = str(tmp_path / "out")
    assert export_catalogue(catalogue, out, tree, form, region=region).rows == len(names)
    if form in ("csv", "kaggle"):
        assert pd.read_csv(out).iloc[:, 0].tolist() == names
    elif form == "parquet":
        assert pq.read_table(out)["object_id"].to_pylist() == names
    elif form == "hats":
        assert readers.hats_columns(out)["object_id"] == names
    else:
        assert readers.read_astropy(out, form)["object_id"].tolist() == names
    if form == "fits":
        with fits.open(out) as file:
            assert file[1].header["NAXIS2"] == len(names)


@given(order=st.integers(0, 29), ra=ra, dec=dec)
def test_a_position_lies_in_its_pixel(order: int, ra: float, dec: float) -> None:
    place = np.array([ra]), np.array([dec])
    pixel = int(healpix_pixels(*place, order)[0])
    assert parse_pixels(f"{order}/{pixel}").contains(*place)[0]
    other = (pixel + 1) % (12 * 4**order)
    assert not Pixels(order, (other,)).contains(*place)[0]


def test_what_is_a_position() -> None:
    places = {
        "ra": [1.0, None, 1.0, float("nan"), float("inf"), 1.0],
        "dec": [90.0, 1.0, None, 1.0, 1.0, 90.1],
    }
    assert positions(pa.record_batch(places))[2].tolist() == [True, False, False, False, False, False]


def test_regions_are_read_from_words() -> None:
    assert parse_cone("150.1, -2.2,0.5") == Cone(150.1, -2.2, 0.5)
    assert parse_box("350,10,-1,1") == Box(350, 10, -1, 1)
    assert parse_pixels("5/7,3-5, 4") == Pixels(5, (3, 4, 5, 7))


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_cone, "1,2", "expected RA,DEC,RADIUS"),
        (parse_cone, "a,2,3", "expected RA,DEC,RADIUS"),
        (parse_cone, "nan,2,3", "expected RA,DEC,RADIUS"),
        (parse_cone, "1,91,3", "declination 91"),
        (parse_cone, "400,1,3", "right ascension 400"),
        (parse_cone, "1,1,0", "radius 0"),
        (parse_cone, "1,1,181", "radius 181"),
        (parse_box, "1,2,3", "expected RA1,RA2,DEC1,DEC2"),
        (parse_box, "1,2,4,3", "declinations 4,3"),
        (parse_box, "1,1,3,4", "from right ascension 1 to itself"),
        (parse_box, "1,361,3,4", "right ascension 361"),
        (parse_pixels, "5", "expected ORDER/PIXEL"),
        (parse_pixels, "30/1", "order 0 to 29"),
        (parse_pixels, "0/12", "pixel 12 of order 0; expected 0 to 11"),
        (parse_pixels, "5/4-3", "pixel 4-3 of order 5"),
        (parse_pixels, "20/0-1000000", "at most a million pixels"),
    ],
)
def test_a_bad_region_is_explained(parse: object, text: str, message: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=message):
        parse(text)
