"""Tables of positions: every kind, and every row that can't be used told by a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from pipeline.cutting.positions import read_positions
from pipeline.cutting.settings import PositionColumns
from pipeline.errors import InputError

GOOD = {
    "objid": [1237650000000000001, 1237650000000000002],
    "RA": [10.5, 359.9],
    "Dec": [-1.0, 89.0],
    "r90": [3.0, 4.0],
}


@pytest.mark.parametrize(
    ("name", "form"),
    [("t.fits", "fits"), ("t.xml", "votable"), ("t.csv", "ascii.csv"), ("t.parquet", "parquet")],
)
def test_every_kind_of_table_is_read(tmp_path: Path, name: str, form: str) -> None:
    Table(GOOD).write(tmp_path / name, format=form)
    positions = read_positions(str(tmp_path / name), PositionColumns(), "r90")
    assert positions.ids.to_pylist() == ["1237650000000000001", "1237650000000000002"]
    assert positions.ra.tolist() == GOOD["RA"]
    assert positions.dec.tolist() == GOOD["Dec"]
    assert positions.sizes is not None
    assert positions.sizes.tolist() == GOOD["r90"]
    assert (positions.total, len(positions.misses)) == (2, 0)


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_text_ids_are_read_as_they_are(tmp_path: Path, form: str) -> None:
    Table({"object_id": ["a b", "c"], "ra": [1.0, 2.0], "dec": [1.0, 2.0]}).write(tmp_path / "t", format=form)
    assert read_positions(str(tmp_path / "t"), PositionColumns(), None).ids.to_pylist() == ["a b", "c"]


@pytest.mark.parametrize(
    "ids",
    [("0012", "12"), ("18446744073709551615", "18446744073709551614"), ("1.10", "1.1"), ("1e5", "+5")],
)
def test_ids_that_look_like_numbers_stay_as_they_are(tmp_path: Path, ids: tuple[str, ...]) -> None:
    rows = "".join(f"{name},10,5\n" for name in ids)
    (tmp_path / "t.csv").write_text(f"object_id,ra,dec\n{rows}")
    positions = read_positions(str(tmp_path / "t.csv"), PositionColumns(), None)
    assert positions.ids.to_pylist() == list(ids)
    assert len(positions.misses) == 0


def test_ids_with_line_breaks_are_whole_in_a_large_table(tmp_path: Path) -> None:
    ids = [f"{number:06d}\nx" for number in range(80_000)]  # more than is parsed in one piece
    rows = "".join(f'"{name}",10,5\n' for name in ids)
    (tmp_path / "t.csv").write_text(f"object_id,ra,dec\n{rows}")
    assert read_positions(str(tmp_path / "t.csv"), PositionColumns(), None).ids.to_pylist() == ids


def test_rows_that_name_no_place_are_listed_with_their_reasons(tmp_path: Path) -> None:
    lines = [
        "object_id,ra,dec,size",
        "a,10,5,1",
        "b,370,5,1",
        "c,10,nan,1",
        "a,11,5,1",
        ",10,5,1",
        "d,10,5,-1",
        "e,10,,1",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    positions = read_positions(str(tmp_path / "t.csv"), PositionColumns(), "size")
    assert positions.ids.to_pylist() == ["a"]
    reasons = dict(
        zip(positions.misses["row"].to_pylist(), positions.misses["reason"].to_pylist(), strict=True)
    )
    assert reasons == {
        1: "bad_position",
        2: "bad_position",
        3: "duplicate_id",
        4: "bad_object_id",
        5: "bad_size",
        6: "bad_position",
    }
    assert positions.total == 7
    assert "370" in positions.misses["message"][0].as_py()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"object_id,x,dec\na,1,2\n", "no column 'ra'"),
        (b"name,ra,dec\na,1,2\n", "no column 'object_id'"),
        (b"object_id,ra,dec\na,10:20:30,2\n", "doesn't hold numbers"),
        (b"object_id,ra,dec\na,400,2\n", "has no row that can be used"),
        (b"object_id,ra,dec\n", "it has no rows"),
        (b"", "can't be read as a table"),
        (b"SIMPLE  =" + bytes(40), "can't be read as a table"),
        (b"PAR1" + bytes(40), "can't be read as a table"),
        (b"<?xml version='1.0'?><VOTABLE><RESOURCE>", "can't be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_positions(str(tmp_path / "t"), PositionColumns(), None)


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    Table({"SOURCE": ["s1"], "RAJ2000": [1.5], "DEJ2000": [2.5]}).write(tmp_path / "t.fits")
    columns = PositionColumns(object_id="source", ra="RAJ2000", dec="DEJ2000")
    positions = read_positions(str(tmp_path / "t.fits"), columns, None)
    assert (positions.ids.to_pylist(), positions.ra.tolist()) == (["s1"], [1.5])
    assert np.isfinite(positions.dec).all()
