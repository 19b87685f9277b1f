"""What a published folder holds: each form valid by its own standard, and equal to the catalogue."""

from __future__ import annotations

import io
import json
import logging
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from astropy.io.votable import parse, validate
from hats.catalog import TableProperties
from hats.io.validation import is_valid_catalog
from jsonschema import Draft201909Validator
from mocpy import MOC

from pipeline.catalogue.publication import Published, Shape
from pipeline.catalogue.region import healpix_pixels
from pipeline.tree import DecisionTree
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.catalogue.publication.samples import ABOUT, assert_whole, current, published, tile, tiles
from tests.support.tables import snapshot

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of LSDB's own code

MANDATORY = (
    *("creator_did", "obs_title", "dataproduct_type", "hips_version", "hips_release_date"),
    *("hips_status", "hips_tile_format", "hips_order", "hips_frame"),
)
"""Keywords that HiPS 1.0, section 4.4.1, wants of every survey."""


@pytest.fixture(scope="module")
def sky(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Published]:
    """A dense field within a whole sky, so that partitions and tiles are of many orders."""
    folder = tmp_path_factory.mktemp("sky")
    rng = np.random.default_rng(5)
    wide = zip(rng.uniform(0, 360, 600), np.degrees(np.arcsin(rng.uniform(-1, 1, 600))), strict=True)
    dense = zip(rng.uniform(149, 151, 2400), rng.uniform(1, 3, 2400), strict=True)
    places = [(f"g{i}", float(ra), float(dec)) for i, (ra, dec) in enumerate([*wide, *dense])]
    catalogue = write_catalogue(str(folder / "catalogue"), tree, galaxies(tree, places))
    done = published(catalogue, folder / "out", tree, partition_rows=700)
    return catalogue, folder / "out", done


def test_the_manifest_names_every_file_of_the_edition(sky: tuple[str, Path, Published]) -> None:
    _, out, done = sky
    manifest = assert_whole(out)
    assert (done.files, done.written, done.galaxies) == (len(manifest["files"]), done.files, 3000)
    assert (out / "current").resolve() == current(out)
    assert {path.name for path in (out / "editions").iterdir()} == {done.edition}


def test_hats_is_valid_and_has_each_galaxy(
    sky: tuple[str, Path, Published], caplog: pytest.LogCaptureFixture
) -> None:
    catalogue, out, _ = sky
    hats = current(out) / "hats"
    with caplog.at_level(logging.WARNING):
        assert is_valid_catalog(hats, strict=True)
    assert caplog.messages == []
    assert readers.hats_columns(str(hats)) == readers.columns(snapshot(catalogue))
    said = TableProperties.read_from_dir(hats).model_dump()
    assert said["hats_creator"] == "Ana Müller, The Example Collaboration"


def test_fits_and_votable_are_read_by_astropy(sky: tuple[str, Path, Published]) -> None:
    catalogue, out, _ = sky
    expected = readers.columns(snapshot(catalogue))
    table = readers.read_astropy(str(current(out) / "galaxies.fits"), "fits")
    assert readers.astropy_columns(table)["ra"] == expected["ra"]
    with fits.open(current(out) / "galaxies.fits") as file:
        file.verify("exception")
        assert file[0].header["LICENSE"] == "CC-BY-4.0"
    report = io.StringIO()
    assert validate(current(out) / "galaxies.vot", output=report), report.getvalue()
    (resource,) = parse(current(out) / "galaxies.vot", verify="exception").resources
    assert list(resource.tables[0].array["object_id"]) == expected["object_id"]


@pytest.mark.skipif(readers.STILTS is None, reason="STILTS is not installed: apt-get install stilts")
@pytest.mark.parametrize(("name", "form"), [("galaxies.fits", "fits"), ("galaxies.vot", "votable")])
def test_stilts_reads_the_tables(sky: tuple[str, Path, Published], name: str, form: str) -> None:
    catalogue, out, _ = sky
    found = readers.stilts_columns(str(current(out) / name), form)
    np.testing.assert_allclose(found["ra"], snapshot(catalogue)["ra"].to_numpy())


@pytest.mark.parametrize("name", ["coverage.fits", "hips/Moc.fits", "coverage.json"])
def test_the_coverage_is_the_catalogues(sky: tuple[str, Path, Published], name: str) -> None:
    catalogue, out, _ = sky
    rows = snapshot(catalogue)
    lon, lat = Longitude(rows["ra"].to_numpy(), "deg"), Latitude(rows["dec"].to_numpy(), "deg")
    form = "json" if name.endswith("json") else "fits"
    assert MOC.load(current(out) / name, form) == MOC.from_lonlat(lon, lat, max_norder=10)
    if form == "fits":
        header = fits.getheader(current(out) / name, 1)
        assert (header["MOCVERS"], header["MOCDIM"], header["MOCORD_S"]) == ("2.0", "SPACE", 10)


def test_every_galaxy_is_in_one_tile_and_as_the_catalogue_has_it(sky: tuple[str, Path, Published]) -> None:
    catalogue, out, _ = sky
    hips = current(out) / "hips"
    found = []
    for path in tiles(hips):
        order, pixel = int(path.parts[-3][6:]), int(path.stem[4:])
        assert path.parts[-2] == f"Dir{pixel // 10_000 * 10_000}"
        rows = tile(path)
        assert (healpix_pixels(rows["ra"].to_numpy(), rows["dec"].to_numpy(), order) == pixel).all()
        found.append(rows.assign(order=order))
    everything = pd.concat(found).set_index("object_id").sort_index()
    expected = snapshot(catalogue).to_pandas().set_index("object_id").sort_index()
    assert list(everything.index) == list(expected.index)
    columns = [column for column in everything.columns if column != "order"]
    assert set(expected.columns) - set(columns) == {"run", "weights", "input", "content"}
    for column in columns:
        if expected[column].dtype.kind == "f":
            np.testing.assert_array_equal(everything[column].astype(expected[column].dtype), expected[column])
        else:
            assert everything[column].fillna("").tolist() == expected[column].fillna("").tolist()
    assert everything["order"].max() > 3


def test_the_best_are_in_the_large_tiles(sky: tuple[str, Path, Published]) -> None:
    """And within a tile first; what a tile says of its completeness is what it and those above it show."""
    _, out, _ = sky
    hips = current(out) / "hips"
    every = {(int(path.parts[-3][6:]), int(path.stem[4:])): path for path in tiles(hips)}
    by_tile = {key: tile(path) for key, path in every.items()}
    rank = "class_confidence"
    for (order, pixel), rows in by_tile.items():
        worst = rows[rank].fillna(-1)
        assert worst.is_monotonic_decreasing
        shown = len(rows)
        for above in range(1, order):
            upper = by_tile[above, pixel >> 2 * (order - above)]
            assert upper[rank].fillna(-1).min() >= worst.max()
            inside = healpix_pixels(upper["ra"].to_numpy(), upper["dec"].to_numpy(), order) == pixel
            shown += int(inside.sum())
        below = [
            len(other)
            for (deeper, child), other in by_tile.items()
            if deeper > order and child >> 2 * (deeper - order) == pixel
        ]
        first = every[order, pixel].read_text().split("\n")[0]
        assert first == f"# Completeness = {shown} / {shown + sum(below)}"
        if below:
            assert len(rows) == (64 if order < 3 else 500)


def test_viewers_find_all_tiles_of_orders_1_and_2_in_one_file(sky: tuple[str, Path, Published]) -> None:
    _, out, _ = sky
    hips = current(out) / "hips"
    for order in (1, 2):
        paths = sorted((hips / f"Norder{order}").glob("Dir*/*.tsv"), key=lambda path: int(path.stem[4:]))
        bodies = [path.read_text().split("\n", 2)[2] for path in paths]
        assert (hips / f"Norder{order}" / "Allsky.tsv").read_text().split("\n", 2)[2] == "".join(bodies)


def test_the_progressive_catalogue_says_what_the_standard_wants(sky: tuple[str, Path, Published]) -> None:
    _, out, _ = sky
    hips = current(out) / "hips"
    lines = (hips / "properties").read_text(encoding="utf-8").splitlines()
    said = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    assert all(said[keyword] for keyword in MANDATORY)
    pd.to_datetime(said["hips_release_date"], format="%Y-%m-%dT%H:%MZ")
    assert said["creator_did"].startswith("ivo://")
    assert (said["dataproduct_type"], said["hips_tile_format"], said["hips_frame"]) == (
        *("catalog", "tsv"),
        "equatorial",
    )
    assert (said["hips_version"], said["hips_status"]) == ("1.4", "public master clonable")
    assert int(said["hips_order"]) == max(int(path.parts[-3][6:]) for path in tiles(hips))
    assert int(said["hips_cat_nrows"]) == 3000
    assert int(said["hips_nb_tiles"]) == len(tiles(hips))
    columns = parse(hips / "metadata.xml", verify="exception").resources[0].tables[0].fields
    assert [field.name for field in columns] == list(tile(tiles(hips)[0]).columns)
    ucds = [field.ucd for field in columns]
    assert ucds[:2] == ["pos.eq.ra;meta.main", "pos.eq.dec;meta.main"]
    assert (hips / "Metadata.xml").read_bytes() == (hips / "metadata.xml").read_bytes()


def test_the_metadata_of_the_doi_is_valid(sky: tuple[str, Path, Published]) -> None:
    _, out, _ = sky
    schema = json.loads(files("datacite").joinpath("schemas/datacite-v4.5.json").read_text())
    said = json.loads((current(out) / "datacite.json").read_text(encoding="utf-8"))
    Draft201909Validator(schema, format_checker=Draft201909Validator.FORMAT_CHECKER).validate(said)
    assert said["doi"] == ABOUT.doi
    assert said["creators"][0]["nameIdentifiers"][0]["nameIdentifier"].endswith("0000-0002-1825-0097")
    assert [creator["nameType"] for creator in said["creators"]] == ["Personal", "Organizational"]


def test_how_to_cite_it_is_said_in_words_and_for_machines(sky: tuple[str, Path, Published]) -> None:
    catalogue, out, _ = sky
    said = yaml.safe_load((current(out) / "CITATION.cff").read_text(encoding="utf-8"))
    assert (said["type"], said["doi"], said["license"]) == ("dataset", ABOUT.doi, "CC-BY-4.0")
    assert said["authors"][0]["orcid"] == "https://orcid.org/0000-0002-1825-0097"
    text = (current(out) / "README.md").read_text(encoding="utf-8")
    assert "Müller, Ana; The Example Collaboration (" in text
    assert all(f"| `{name}` |" in text for name in snapshot(catalogue).column_names)


def test_awkward_galaxies(tree: DecisionTree, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Poles, the meridian, any text as an id, and galaxies without a position."""
    places = [*AWKWARD, ("#hash\tand\ttabs", 1.0, 1.0), ("two\nlines", 2.0, 2.0)]
    catalogue = write_catalogue(str(tmp_path / "c"), tree, galaxies(tree, places))
    done = published(catalogue, tmp_path / "out", tree)
    assert (done.galaxies, done.unplaced) == (13, 3)
    edition = current(tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        assert is_valid_catalog(edition / "hats", strict=True)
    assert readers.hats_columns(str(edition / "hats")) == readers.columns(snapshot(catalogue))
    ids = [identifier for path in tiles(edition / "hips") for identifier in tile(path)["object_id"]]
    shown = [" ".join(name.split()) for name, *_ in [*AWKWARD[:-3], *places[-2:]]]
    assert sorted(ids) == sorted(shown)
    assert "3 galaxies have no position" in (edition / "README.md").read_text()
    assert_whole(tmp_path / "out")


def test_vectors_are_in_the_partitions_and_not_in_the_tiles(tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, [(f"g{i}", 10.0 + i, 1.0) for i in range(40)], embedding=True)
    catalogue = write_catalogue(str(tmp_path / "c"), tree, rows)
    published(catalogue, tmp_path / "out", tree)
    edition = current(tmp_path / "out")
    assert "embedding" not in readers.read_astropy(str(edition / "galaxies.vot"), "votable").columns
    assert "left out" not in (edition / "README.md").read_text(encoding="utf-8")
    assert "embedding" not in tile(tiles(edition / "hips")[0]).columns
    assert is_valid_catalog(edition / "hats", strict=True)
    table = readers.read_astropy(str(edition / "galaxies.fits"), "fits")
    assert table["embedding"].shape == (40, 64)


def test_a_shape_can_be_asked_for(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_sky(str(tmp_path / "c"), tree, 300)
    done = published(catalogue, tmp_path / "out", tree, tables=(), coverage_order=4, rank="bar_yes")
    edition = current(tmp_path / "out")
    assert MOC.load(edition / "coverage.fits", "fits").max_order == 4
    assert "ranked by `bar_yes`" in (edition / "README.md").read_text()
    first = tile(tiles(edition / "hips")[0])
    assert first["bar_yes"].is_monotonic_decreasing
    assert done.edition != published(catalogue, tmp_path / "b", tree, tables=()).edition
    assert Shape().rank is None
