"""Every format holds the numbers of the snapshot, and says what its columns mean."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.io.votable.ucd import parse_ucd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.catalogue import catalogue_schema, export_catalogue
from pipeline.catalogue.export import Format
from pipeline.catalogue.export.votable import _Base64
from pipeline.catalogue.snapshot import BATCH_ROWS
from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.support.tables import snapshot

FILES: tuple[Format, ...] = ("csv", "parquet", "fits", "votable")


@pytest.fixture
def awkward(tree: DecisionTree, tmp_path: Path) -> str:
    return write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD))


def read_back(path: str, form: Format, schema: pa.Schema) -> readers.Columns:
    if form == "csv":
        return readers.csv_columns(path, schema)
    if form == "parquet":
        return readers.columns(pq.read_table(path))
    if form == "hats":
        return readers.hats_columns(path)
    return readers.astropy_columns(readers.read_astropy(path, form))


@pytest.mark.parametrize("form", [*FILES, "hats"])
@pytest.mark.parametrize("count", [len(AWKWARD), 1])
def test_round_trip(form: Format, count: int, tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD[:count]))
    out = str(tmp_path / "out")
    assert export_catalogue(catalogue, out, tree, form).rows == count
    source = snapshot(catalogue)
    assert read_back(out, form, source.schema) == readers.columns(source)


@pytest.mark.parametrize("form", ["parquet", "fits", "hats"])
def test_embeddings_are_vectors(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, AWKWARD, embedding=True)
    catalogue, out = write_catalogue(str(tmp_path / "catalogue"), tree, rows), str(tmp_path / "out")
    assert not any("left out" in note for note in export_catalogue(catalogue, out, tree, form).notes)
    found = read_back(out, form, rows.schema)
    assert [np.int8(vector).tobytes() for vector in found.pop("embedding")] == rows["embedding"].to_pylist()
    assert found == readers.columns(rows.drop_columns("embedding"))


@pytest.mark.parametrize("form", ["csv", "votable", "kaggle"])
def test_forms_without_vectors_leave_embeddings_out(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, AWKWARD, embedding=True)
    catalogue, out = write_catalogue(str(tmp_path / "catalogue"), tree, rows), str(tmp_path / "out")
    notes = export_catalogue(catalogue, out, tree, form).notes
    if form == "kaggle":
        assert Path(out).read_text().startswith('"GalaxyID","Class1.1",')
        return
    assert notes == ("embedding is left out: --format parquet, hats or fits holds vectors",)
    rows = rows.drop_columns("embedding")
    assert read_back(out, form, rows.schema) == readers.columns(rows)


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=[pytest.mark.long] * (form not in {"parquet", "fits"})) for form in FILES],
)
def test_round_trip_of_many_batches(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_sky(str(tmp_path / "catalogue"), tree, 2 * BATCH_ROWS + 1)
    out, seen = str(tmp_path / "out"), []
    assert export_catalogue(catalogue, out, tree, form, seen.append).rows == sum(seen) == 2 * BATCH_ROWS + 1
    assert max(seen) <= BATCH_ROWS
    source = snapshot(catalogue)
    if form == "votable":  # astropy parses it row by row
        table = parse_single_table(out, columns=["object_id", "dec", "bar_agreement"]).to_table()
        assert readers.astropy_columns(table) == readers.columns(source.select(table.colnames))
    else:
        assert read_back(out, form, source.schema) == readers.columns(source)


@pytest.mark.parametrize("form", [*FILES, "hats"])
def test_an_empty_catalogue(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, catalogue_schema(tree).empty_table())
    out = str(tmp_path / "out")
    assert export_catalogue(catalogue, out, tree, form).rows == 0
    if form == "hats":
        return  # its own tests open it
    assert read_back(out, form, snapshot(catalogue).schema) == {n: [] for n in catalogue_schema(tree).names}


def test_every_column_has_a_description_and_a_valid_ucd(tree: DecisionTree) -> None:
    for field in catalogue_schema(tree):
        assert field.metadata[b"description"]
        assert parse_ucd(field.metadata[b"ucd"].decode(), check_controlled_vocabulary=True)


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_astropy_finds_descriptions_units_and_ucds(
    form: Format, awkward: str, tree: DecisionTree, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    export_catalogue(awkward, out, tree, form)
    table = readers.read_astropy(out, form)
    for field in catalogue_schema(tree):
        info = table[field.name].info
        assert info.description == field.metadata[b"description"].decode()
        assert info.meta["ucd"] == field.metadata[b"ucd"].decode()
        assert (info.unit.to_string() if info.unit else "") == field.metadata.get(b"unit", b"").decode()


def test_parquet_says_what_its_columns_mean(awkward: str, tree: DecisionTree, tmp_path: Path) -> None:
    """In the fields' own metadata, and as a VOTable without data, by the VOParquet convention."""
    out = str(tmp_path / "out.parquet")
    export_catalogue(awkward, out, tree, "parquet")
    schema = pq.read_schema(out)
    for field in catalogue_schema(tree):
        assert schema.field(field.name).metadata == field.metadata
    table = parse_single_table(io.BytesIO(schema.metadata[b"IVOA.VOTable-Parquet.content"]))
    assert [field.name for field in table.fields] == schema.names
    assert (table.fields[2].unit, table.fields[2].ucd) == ("deg", "pos.eq.dec;meta.main")


def test_fits_is_of_whole_blocks_and_passes_astropys_verification(
    awkward: str, tree: DecisionTree, tmp_path: Path
) -> None:
    out = tmp_path / "out.fits"
    exported = export_catalogue(awkward, str(out), tree, "fits")
    assert out.stat().st_size % 2880 == 0
    with fits.open(out) as file:
        file.verify("exception")
        header = file[1].header
        assert (header["NAXIS2"], header["TFIELDS"]) == (len(AWKWARD), len(catalogue_schema(tree)))
        assert (header["TUCD2"], header["TCOMM2"], header["TUNIT2"]) == (
            "pos.eq.ra;meta.main",
            "Right ascension",
            "deg",
        )
    assert [note.partition(":")[0] for note in exported.notes] == ["object_id"]


def test_a_name_that_fits_cant_hold(tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, AWKWARD[:2]).rename_columns(
        ["größe" if name == "bar_agreement" else name for name in catalogue_schema(tree).names]
    )
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, rows)
    with pytest.raises(InputError, match="FITS can't hold the columns"):
        export_catalogue(catalogue, str(tmp_path / "out"), tree, "fits")
    assert not (tmp_path / "out").exists()


def test_plain_texts_are_chars_and_others_unicode(awkward: str, tree: DecisionTree, tmp_path: Path) -> None:
    out = str(tmp_path / "out.vot")
    export_catalogue(awkward, out, tree, "votable")
    table = parse_single_table(out)
    kinds = {field.name: field.datatype for field in table.fields}
    assert (kinds["object_id"], kinds["run"], table.nrows) == ("unicodeChar", "char", len(AWKWARD))


@given(chunks=st.lists(st.binary(max_size=20)))
def test_base64_in_chunks(chunks: list[bytes]) -> None:
    written = io.BytesIO()
    stream = _Base64(written)
    for chunk in chunks:
        stream.write(chunk)
    stream.close()
    assert base64.b64decode(re.sub(rb"\s", b"", written.getvalue()), validate=True) == b"".join(chunks)


@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
@settings(max_examples=15, deadline=None)
def test_any_identifier_survives_votable(
    names: list[str], tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("names")
    catalogue = write_catalogue(
        str(folder / "catalogue"), tree, galaxies(tree, [(n, 1.0, 2.0) for n in names])
    )
    out = str(folder / "out.vot")
    export_catalogue(catalogue, out, tree, "votable")
    assert readers.read_astropy(out, "votable")["object_id"].tolist() == names


@pytest.mark.skipif(readers.STILTS is None, reason="STILTS is not installed: apt-get install stilts")
@pytest.mark.parametrize("form", ["fits", "votable"])
def test_topcats_reader(form: Format, awkward: str, tree: DecisionTree, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    export_catalogue(awkward, out, tree, form)
    found, source = readers.stilts_columns(out, form), snapshot(awkward).to_pandas()
    assert list(found.columns) == list(source.columns)
    ascii_only = [name for name in source["object_id"] if name.isascii() or form == "votable"]
    assert set(ascii_only) <= set(found["object_id"])
    for name in ("ra", "dec", "bar_yes"):
        np.testing.assert_array_equal(
            found[name].to_numpy(source[name].dtype), source[name].to_numpy(), err_msg=name
        )
    assert (
        found["smooth_or_featured_answer"].tolist() == source["smooth_or_featured_answer"].fillna("").tolist()
    )
    told = readers.stilts("tpipe", f"in={out}", f"ifmt={form}", "omode=meta")
    assert re.search(r"dec\(Double\)/deg - Declination", told)
    told = readers.stilts("tpipe", f"in={out}", f"ifmt={form}", "cmd=meta name ucd", "ofmt=csv")
    assert "dec,pos.eq.dec;meta.main" in told.splitlines()


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_a_text_that_would_be_cut_off_is_refused(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, [("sound", 1.0, 2.0), ("a\0b", 1.0, 2.0)])
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, rows)
    with pytest.raises(InputError, match=r"object_id 'a\\x00b' holds a NUL.*use --format parquet or csv"):
        export_catalogue(catalogue, str(tmp_path / "out"), tree, form)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["csv", "kaggle"])
def test_no_id_is_a_formula_to_a_spreadsheet(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    ids = [
        "=cmd|' /C calc'!A0",
        "@SUM(A1)",
        "-2+3|x",
        "+1(2)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'=1",
        "''@a",
        "'a",
        "a",
    ]
    harmless = ["-1.5", "+J0123", "-J0123.5-4507", "587722981742084144", "'-1.5"]
    rows = galaxies(tree, [(name, 1.0, 2.0) for name in [*ids, *harmless]])
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, rows)
    out = tmp_path / "out.csv"
    export_catalogue(catalogue, str(out), tree, form)
    with out.open(newline="", encoding="utf-8") as stream:
        written = [row[0] for row in csv.reader(stream)][1:]
    assert written == [*(f"'{name}" for name in ids[:-2]), *ids[-2:], *harmless]
    assert [storage.unguarded(text) for text in written] == [*ids, *harmless]
