"""HATS catalogues: valid, opened and crossmatched by LSDB, within their bound."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hats.io.paths import get_healpix_from_path
from hats.io.validation import is_valid_catalog
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import catalogue_schema, export_catalogue
from pipeline.catalogue.export.hats import UNPLACED
from pipeline.catalogue.export.partitions import Spill, partition
from pipeline.catalogue.region import healpix_pixels
from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.support.tables import snapshot

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of LSDB's own code


@pytest.fixture
def lsdb() -> Iterator[Any]:
    """LSDB in one thread; loading it takes seconds, which only these tests need take."""
    import dask
    import lsdb

    with dask.config.set(scheduler="synchronous"):
        yield lsdb


def leaves(path: Path) -> list[Path]:
    return sorted(path.glob("dataset/Norder=*/Dir=*/Npix=*.parquet"))


def assert_valid(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert is_valid_catalog(path, strict=True)
    assert caplog.messages == []


def test_lsdb_opens_and_crossmatches_it(
    lsdb: Any, tree: DecisionTree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The poles and the meridian included."""
    rng = np.random.default_rng(3)
    places = [place for place in AWKWARD if place[0] in ("north", "south", "west")]
    places += [
        (f"g{i}", *place) for i, place in enumerate(rng.uniform((0, -80), (360, 80), (900, 2)).tolist())
    ]
    catalogue, out = str(tmp_path / "catalogue"), tmp_path / "galaxies.hats"
    write_catalogue(catalogue, tree, galaxies(tree, places))
    seen: list[int] = []
    exported = export_catalogue(catalogue, str(out), tree, "hats", seen.append, partition_rows=70)
    assert sum(seen) == len(places)
    assert (exported.rows, exported.notes) == (len(places), ())
    assert_valid(out, caplog)
    assert readers.hats_columns(str(out)) == readers.columns(snapshot(catalogue))
    opened = lsdb.open_catalog(out, columns="all")
    assert len(opened) == len(places)
    assert {pixel.order for pixel in opened.get_healpix_pixels()} == {0, 1}

    some = pd.DataFrame(places[:60], columns=["name", "ra", "dec"])
    some["ra"] %= 360
    some["dec"] -= np.sign(some["dec"]) * 0.5 / 3600
    other = lsdb.from_dataframe(some, ra_column="ra", dec_column="dec", margin_threshold=10)
    pairs = opened.crossmatch(other, radius_arcsec=1, suffix_method="overlapping_columns").compute()
    assert (pairs["object_id"] == pairs["name"]).all()
    assert sorted(pairs["name"]) == sorted(some["name"])
    np.testing.assert_allclose(pairs["_dist_arcsec"], 0.5, rtol=1e-3)


def test_lsdb_reads_embeddings_as_vectors(
    lsdb: Any, tree: DecisionTree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = galaxies(tree, [(f"g{i}", 10.0 + i, 1.0) for i in range(40)], embedding=True)
    catalogue, out = write_catalogue(str(tmp_path / "catalogue"), tree, rows), tmp_path / "galaxies.hats"
    export_catalogue(catalogue, str(out), tree, "hats", partition_rows=30)
    assert_valid(out, caplog)
    opened = lsdb.open_catalog(out, columns=["object_id", "embedding"]).compute()
    expected = dict(zip(rows["object_id"].to_pylist(), rows["embedding"].to_pylist(), strict=True))
    vectors = np.stack(opened["embedding"].to_list())
    assert vectors.shape == (40, 64)
    assert [np.int8(vector).tobytes() for vector in vectors] == [expected[i] for i in opened["object_id"]]


def test_leaves_are_sorted_and_lie_in_their_pixels(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue, out = write_sky(str(tmp_path / "catalogue"), tree, 3000), tmp_path / "out"
    export_catalogue(catalogue, str(out), tree, "hats", partition_rows=100)
    assert len(leaves(out)) > 12
    for leaf in leaves(out):
        table, pixel = pq.read_table(leaf, partitioning=None), get_healpix_from_path(str(leaf))
        index = table["_healpix_29"].to_numpy()
        assert (np.diff(index) >= 0).all()
        assert (index >> 2 * (29 - pixel.order) == pixel.pixel).all()
        places = table["ra"].to_numpy(), table["dec"].to_numpy()
        np.testing.assert_array_equal(index, healpix_pixels(*places, 29))


def test_the_same_snapshot_makes_the_same_partitions(tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, [(f"g{i}", float(i % 7), 1.0) for i in range(50)])
    order = np.random.default_rng(0).permutation(50)
    for name, table in (("one", rows), ("two", rows.take(order))):
        catalogue = write_catalogue(str(tmp_path / f"{name}-catalogue"), tree, table)
        export_catalogue(catalogue, str(tmp_path / name), tree, "hats", partition_rows=20)
    one, two = leaves(tmp_path / "one"), leaves(tmp_path / "two")
    assert [leaf.name for leaf in one] == [leaf.name for leaf in two]
    assert [leaf.read_bytes() for leaf in one] == [leaf.read_bytes() for leaf in two]


def test_galaxies_without_a_position_are_beside_it(
    tree: DecisionTree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue, out = write_catalogue(str(tmp_path / "c"), tree, galaxies(tree, AWKWARD)), tmp_path / "out"
    exported = export_catalogue(catalogue, str(out), tree, "hats")
    assert exported.rows == len(AWKWARD)
    assert len(exported.notes) == 1
    assert exported.notes[0].startswith("3 galaxies have no position")
    assert exported.notes[0].endswith(str(out / UNPLACED))
    assert pq.read_table(out / UNPLACED)["object_id"].to_pylist() == [
        "no position",
        "no declination",
        "not a number",
    ]
    assert_valid(out, caplog)
    assert read_hats(out).catalog_info.total_rows == len(AWKWARD) - 3


def test_no_position_at_all_is_refused(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "c"), tree, galaxies(tree, AWKWARD[-3:]))
    with pytest.raises(InputError, match="none of the 3 galaxies has a position"):
        export_catalogue(catalogue, str(tmp_path / "out"), tree, "hats")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_without_the_package_hats(
    tree: DecisionTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = write_catalogue(str(tmp_path / "c"), tree, galaxies(tree, AWKWARD))
    monkeypatch.setitem(sys.modules, "hats", None)
    with pytest.raises(InputError, match=r"needs the package hats: pip install 'tuningfork\[hats\]'"):
        export_catalogue(catalogue, str(tmp_path / "out"), tree, "hats")


def test_an_empty_catalogue(
    lsdb: Any, tree: DecisionTree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue = write_catalogue(str(tmp_path / "c"), tree, catalogue_schema(tree).empty_table())
    out = tmp_path / "out"
    export_catalogue(catalogue, str(out), tree, "hats")
    assert is_valid_catalog(out, strict=True)
    assert len(lsdb.open_catalog(out).compute()) == 0
    assert read_hats(out).schema.names == ["_healpix_29", *catalogue_schema(tree).names]


def test_columns_are_described(tree: DecisionTree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    catalogue = write_catalogue(str(tmp_path / "c"), tree, galaxies(tree, AWKWARD))
    export_catalogue(catalogue, str(out), tree, "hats")
    for file in (out / "dataset" / "_common_metadata", *leaves(out)):
        schema = pq.read_schema(file)
        for field in catalogue_schema(tree):
            assert schema.field(field.name).metadata == field.metadata
        assert b'ucd="pos.healpix"' in schema.metadata[b"IVOA.VOTable-Parquet.content"]


def test_too_many_in_one_place(tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, [(f"g{i}", 10.0, 10.0) for i in range(30)])
    catalogue = write_catalogue(str(tmp_path / "c"), tree, rows)
    with pytest.raises(InputError, match="partition_rows=29: 30 galaxies lie in one pixel of 7 arcmin"):
        export_catalogue(catalogue, str(tmp_path / "out"), tree, "hats", partition_rows=29)
    assert export_catalogue(catalogue, str(tmp_path / "out"), tree, "hats", partition_rows=30).rows == 30


@given(
    counts=st.dictionaries(st.integers(0, 12 * 4**3 - 1), st.integers(1, 50), max_size=40),
    most=st.integers(50, 300),
)
@settings(deadline=None)
def test_partitions_cover_every_row_once_and_keep_the_bound(counts: dict[int, int], most: int) -> None:
    dense = np.zeros(12 * 4**3, np.int64)
    dense[list(counts)] = list(counts.values())
    pixels = partition(dense, most)
    owner = np.full(len(dense), -1)
    for number, pixel in enumerate(pixels):
        span = 4 ** (3 - pixel.order)
        inside = slice(pixel.pixel * span, (pixel.pixel + 1) * span)
        assert (owner[inside] == -1).all()
        owner[inside] = number
        assert 0 < dense[inside].sum() <= most
        if pixel.order:  # a larger pixel would hold too many
            parent = slice(pixel.pixel // 4 * 4 * span, (pixel.pixel // 4 + 1) * 4 * span)
            assert dense[parent].sum() > most
    assert (owner[dense > 0] >= 0).all()
    assert [pixel.pixel << 2 * (29 - pixel.order) for pixel in pixels] == sorted(
        pixel.pixel << 2 * (29 - pixel.order) for pixel in pixels
    )


@given(
    index=st.lists(st.integers(0, 12 * 4**29 - 1), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
@settings(deadline=None, max_examples=30)
def test_spilled_rows_come_back_by_partition(
    index: list[int], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pixels = partition(np.bincount(np.array(index, np.int64) >> 58, minlength=12), 100)
    schema = pa.schema([("_healpix_29", pa.int64())])
    spill = Spill(tmp_path_factory.mktemp("spill") / "rows", schema, pixels, "_healpix_29")
    bounds = [0, *sorted(min(cut, len(index)) for cut in cuts), len(index)]
    for start, stop in itertools.pairwise(bounds):
        spill.add(pa.record_batch([pa.array(index[start:stop], pa.int64())], schema=schema))
    found = [table["_healpix_29"].to_pylist() for table in spill.read()]
    expected = [sorted(i for i in index if i >> 58 == pixel.pixel) for pixel in pixels]
    assert [sorted(rows) for rows in found] == expected
