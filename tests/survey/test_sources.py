"""What each form of a survey makes of input that isn't as it must be, and how a format is recognised."""

from __future__ import annotations

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.first_rows import check_survey
from pipeline.streaming.viewing import Viewer
from pipeline.survey import load_survey, open_source, recognise
from tests.support import forms
from tests.support.forms import FORMS, skies, survey
from tests.support.galaxies import png

SKIES = skies(5, 40)


def source_of(folder, form, **more):
    written = FORMS[form](folder, SKIES)
    return open_source(recognise(survey(**(written | more)), str(folder)))


def decoded(source, uri):
    tables = [
        decode_unit(WorkUnit(0, shard.uri, 0, shard.rows), source=source) for shard in source.list_shards(uri)
    ]
    return pa.concat_tables(tables).to_pylist()


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("parquet", "parquet"),
        ("multimodal", "multimodal"),
        ("webdataset", "webdataset"),
        ("hdf5", "hdf5"),
        ("images", "images"),
        ("fits", "fits"),
    ],
)
def test_the_input_tells_its_format(tmp_path, form, name):
    source = source_of(tmp_path, form)
    assert source.survey.format == name
    assert recognise(survey(format="fits"), "/none").format == "fits"


def test_an_input_of_two_formats_or_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds nothing that is read; expected files that end in \.parquet"):
        recognise(survey(), str(tmp_path))
    with pytest.raises(InputError, match="none doesn't exist"):
        recognise(survey(), str(tmp_path / "none"))
    (tmp_path / "a.tar").write_bytes(b"")
    (tmp_path / "b.FITS").write_bytes(b"")
    (tmp_path / "field.png").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"holds webdataset \(.*a\.tar\) and fits \(.*; say which as `format`"
    ):
        recognise(survey(), str(tmp_path))


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_a_range_are_those_of_the_whole_and_more_are_refused(tmp_path, form):
    source = source_of(tmp_path, form)
    shard = source.list_shards(str(tmp_path))[0]
    assert source.describe(shard.uri).size == shard.size
    assert source.describe(shard.uri).etag == shard.etag
    ids = source.read_ids(shard.uri).to_pylist()
    assert len(ids) == shard.rows
    part = source.read_rows(shard.uri, 1, shard.rows)
    assert part.table["object_id"].to_pylist() == ids[1:]
    assert [row["object_id"] for row in part.cutouts()] == ids[1:]
    assert part.cutout(0)["object_id"] == ids[1]
    assert len(source.read_rows(shard.uri, 0, 0).table) == 0
    with pytest.raises(InputError, match=f"has {shard.rows} rows; expected rows 0 to {shard.rows + 1}"):
        source.read_rows(shard.uri, 0, shard.rows + 1)
    pieces = source.group_ranges(shard.uri, 0, shard.rows)
    assert [row for first, last in pieces for row in range(first, last)] == list(range(shard.rows))


@pytest.mark.parametrize("form", ["webdataset", "images", "fits frames"])
def test_an_index_that_a_run_keeps_spares_the_pass(tmp_path, form):
    (tmp_path / "in").mkdir()
    source = source_of(tmp_path / "in", form)
    shards = source.list_shards(str(tmp_path / "in"))
    source.save_index(str(tmp_path / "index"))
    kept = open_source(source.survey, str(tmp_path / "index"))
    assert [kept.describe(shard.uri).etag for shard in shards] == [shard.etag for shard in shards]
    for path in (tmp_path / "in").iterdir():
        path.rename(path.with_name("moved-" + path.name))
    for shard in shards:
        assert kept.read_ids(shard.uri).to_pylist() == source.read_ids(shard.uri).to_pylist()
    anew = open_source(source.survey)
    if form == "webdataset":
        with pytest.raises(InputError, match="doesn't exist"):
            anew.describe(shards[0].uri)
        return
    rows = kept.read_rows(shards[0].uri, 0, 1)
    assert rows.problems[0][0] == "unreadable_rows"
    assert "was there when the run was planned" in rows.problems[0][1]


def test_a_changed_file_changes_its_shard(tmp_path):
    source = source_of(tmp_path, "images", table=None, columns={}, files_per_shard=3)
    before = source.list_shards(str(tmp_path))
    assert [shard.rows for shard in before] == [3, 2]
    assert [shard.uri for shard in before] == [f"{tmp_path}#0", f"{tmp_path}#1"]
    (tmp_path / "g004.png").write_bytes(png(SKIES[0].picture)[::-1])
    after = source.list_shards(str(tmp_path))
    assert after[0] == before[0]
    assert after[1].etag != before[1].etag


def test_what_the_table_of_a_folder_lacks_is_told(tmp_path):
    (tmp_path / "in").mkdir()
    settings = forms.write_images(tmp_path / "in", SKIES)
    table = tmp_path / "in.csv"

    def listed(text, **more):
        table.write_text(text)
        source = open_source(survey(format="images", **(settings | more)))
        return source, source.list_shards(str(tmp_path / "in"))

    for text, complaint in (
        ("id,ra,dec\na,1,2\n", "has no column 'name' .it has id, ra, dec."),
        ("name,ra,dec\nelsewhere,1,2\n", "has none of the galaxies of .*; it has 'elsewhere'"),
        ("name,ra,dec\ng000,one,2\n", "row 1: ra is 'one'; expected a number"),
        ("", "is not a CSV file"),
    ):
        with pytest.raises(InputError, match=complaint):
            listed(text)
    with pytest.raises(InputError, match="no column 'r90'"):
        listed("name,ra,dec\ng000,1,2\n", frame={"column": "r90"})
    source, _ = listed("name,r90\ng000.png,4\ng001,\n", frame={"column": "r90", "unit": "pixel"})
    rows = decoded(source, str(tmp_path / "in"))
    assert [row["reason"] for row in rows] == [None, *["bad_frame"] * 4]
    assert rows[0]["scale"] == pytest.approx(4 * 8.48 / 424)
    assert rows[1]["message"] == "r90 is None; expected a radius above 0"


def test_columns_that_are_not_there_are_told(tmp_path):
    settings = forms.write_parquet(tmp_path, SKIES)

    def listed(**more):
        columns = settings["columns"] | more.pop("columns", {})
        return open_source(survey(format="parquet", columns=columns, **more)).list_shards(str(tmp_path))

    assert listed()[0].rows == 5
    with pytest.raises(
        InputError, match=r"has no column 'stamp' \(it has objid, RA, DEC, cutout\); name the"
    ):
        listed(columns={"image": "stamp"})
    with pytest.raises(InputError, match="has no column 'RAJ2000'"):
        listed(columns={"ra": "RAJ2000"})
    with pytest.raises(InputError, match="has no column 'petroR90_r'"):
        listed(frame={"column": "petroR90_r"})
    with pytest.raises(InputError, match="column 'objid' is string; expected double"):
        listed(columns={"ra": "objid"})


def test_a_hats_collection_is_refused(tmp_path):
    source = source_of(tmp_path, "hats")
    assert len(source.list_shards(str(tmp_path))) == 2
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=dataset\n")
    with pytest.raises(InputError, match="is a HATS collection; name the folder of its catalogue"):
        source.list_shards(str(tmp_path))


def test_bands_that_no_galaxy_has_are_told_before_the_run(tmp_path):
    color = forms.COLOR | {"bands": ["z", "r", "g"]}
    for number, form in enumerate(("fits", "multimodal struct")):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = source_of(folder, form, color=color)
        shards = source.list_shards(str(folder))
        with pytest.raises(
            InputError, match=r"none of the first 4 galaxies .* 'made' says: there is no band 'z'"
        ):
            check_survey(source, shards)
        check_survey(open_source(source.survey.model_copy(update={"color": survey().color})), shards)


def test_rows_of_bands_that_are_no_images_cost_themselves_alone(tmp_path):
    images = [forms.banded(one) for one in SKIES]
    images[0][1]["band"] = "y"
    images[1][2]["flux"] = images[1][2]["flux"][:-1]
    images[2][0]["flux"] = [[1.0, 2.0], [3.0]]
    images[3][0]["flux"] = None
    images[4][1]["mask"] = np.ones((40, 40), bool).tolist()
    table = forms.rows(SKIES, png).set_column(3, "image", pa.array(images, forms.IMAGES))
    pq.write_table(table, tmp_path / "a.parquet")
    source = open_source(survey(format="multimodal", mask={"name": "mask"}))
    rows = decoded(source, str(tmp_path))
    assert [row["reason"] for row in rows] == [
        "missing_band",
        "bad_shape",
        "bad_shape",
        "bad_shape",
        "bad_pixels",
    ]
    assert rows[0]["message"] == "there is no band 'r' (there are g, y, i)"
    assert rows[1]["message"].startswith("band 'r' has 40×40 pixels and band 'i' 39×40")
    assert rows[4]["message"].startswith("100.0% of band 'r' is masked")
    good = open_source(survey(format="multimodal", mask={"name": "mask", "marks": "good"}))
    assert decoded(good, str(tmp_path))[4]["reason"] == "bad_pixels"  # the other bands now
    with pytest.raises(InputError, match="has no mask 'flags'"):
        check_survey(
            open_source(survey(format="multimodal", mask={"name": "flags"})), good.list_shards(str(tmp_path))
        )


def test_bad_pixels_are_replaced_and_counted(tmp_path):
    mask = np.zeros((40, 40), np.int32)
    mask[:2] = 1 << 8
    for band in forms.BANDS:
        (tmp_path / f"one-{band}.fits").write_bytes(forms.exposure(SKIES[0], band, mask))
        (tmp_path / f"two-{band}.fits").write_bytes(
            forms.exposure(SKIES[1], band, mask if band == "i" else None)
        )
    settings = {
        "files": "{object_id}-{band}.fits",
        "mask": {"name": "MASK", "planes": ["NO_DATA"]},
        "most_bad": 0.06,
    }
    rows = decoded(open_source(survey(format="fits", **settings)), str(tmp_path))
    assert [row["replaced"] for row in rows] == [240, 80]
    strict = decoded(open_source(survey(format="fits", **(settings | {"most_bad": 0.01}))), str(tmp_path))
    assert [row["reason"] for row in strict] == ["bad_pixels", "bad_pixels"]


def test_a_galaxy_that_lacks_a_file_is_a_row_with_a_reason(tmp_path):
    forms.write_frames(tmp_path, SKIES)
    (tmp_path / "frame-r-g001.fits").unlink()
    for band in "gri":
        (tmp_path / f"frame-{band}-g002.fits").unlink()
    (tmp_path / "frame-g-g003.fits").write_bytes(b"")
    (tmp_path / "notes.fits").write_bytes(b"passed over")
    source = open_source(survey(format="fits", files="frame-{band}-{object_id}.fits"))
    rows = decoded(source, str(tmp_path))
    assert [(row["object_id"], row["reason"]) for row in rows] == [
        ("g000", None),
        ("g001", "missing_band"),
        ("g002", "missing_band"),
        ("g003", "empty"),
        ("g004", None),
    ]
    assert rows[1]["message"] == "there is no band 'r' (there are g, i)"
    with pytest.raises(
        InputError, match=r"no file called as `files` .* says, 'cut_\{object_id\}.fits'; it has"
    ):
        open_source(survey(format="fits", files="cut_{object_id}.fits")).list_shards(str(tmp_path))


@pytest.mark.parametrize("files", [None, "frame-{band}-{object_id}.fits"])
def test_a_broken_link_among_fits_files_is_a_row_with_a_reason(tmp_path, files):
    (tmp_path / "frame-r-g001.fits").symlink_to(tmp_path / "absent.fits")
    (row,) = decoded(open_source(survey(format="fits", files=files)), str(tmp_path))
    assert row["reason"] == "unreadable_rows"
    assert "frame-r-g001.fits: it doesn't exist; it is a link to nothing" in row["message"]


def write_hdf5(path, **changed):
    arrays = {
        "flux": np.stack([one.flux for one in SKIES]),
        "object_id": np.array([one.name.encode() for one in SKIES]),
    }
    with h5py.File(path, "w") as file:
        for name, values in (arrays | changed).items():
            if values is not None:
                file[name] = values


@pytest.mark.parametrize(
    ("changed", "more", "complaint"),
    [
        ({"flux": None}, {}, r"has no dataset 'flux' \(it has object_id\); name the survey's own"),
        (
            {"flux": np.zeros((5, 40, 40))},
            {},
            r"'flux' has the shape \(5, 40, 40\) of float64; expected numbers",
        ),
        ({"flux": np.zeros((5, 4, 40, 40))}, {}, r"has 4 bands \(shape .*names 3 \(g, r, i\)"),
        ({"object_id": np.arange(4)}, {}, r"'object_id' has the shape \(4,\); expected \(5,\)"),
        ({}, {"columns": {"ra": "RA"}}, "has no dataset 'RA'"),
        ({}, {"mask": {"name": "mask"}}, "has no dataset 'mask'"),
        ({"mask": np.zeros((5, 40, 41))}, {"mask": {"name": "mask"}}, r"'mask' has the shape \(5, 40, 41\)"),
        ({}, {"frame": {"column": "r90"}}, "has no dataset 'r90'"),
    ],
)
def test_hdf5_that_is_not_as_the_survey_file_says(tmp_path, changed, more, complaint):
    write_hdf5(tmp_path / "a.h5", **changed)
    source = open_source(survey(format="hdf5", planes=["g", "r", "i"], **more))
    with pytest.raises(InputError, match=complaint):
        source.list_shards(str(tmp_path))


@pytest.mark.parametrize("ndim", [3, 4])
def test_hdf5_with_masks_sizes_and_numbers_for_ids(tmp_path, ndim):
    mask = np.zeros((5, 3, 40, 40), np.uint8)
    mask[2, :, :10] = 2
    mask[3, :, :10] = 1
    write_hdf5(
        tmp_path / "a.hdf5",
        object_id=np.arange(5) + 2**60,
        flux=np.stack([one.flux for one in SKIES]).astype(">f4"),
        mask=mask if ndim == 4 else mask[:, 0],
        r90=np.array([3.0, 4.0, 5.0, 6.0, np.nan]),
    )
    settings = {"mask": {"name": "mask", "planes": [1]}, "frame": {"column": "r90"}, "pixel_scale": 0.5}
    source = open_source(survey(format="hdf5", planes=["g", "r", "i"], **settings))
    rows = decoded(source, str(tmp_path))
    assert [row["reason"] for row in rows] == [None, None, "bad_pixels", None, "bad_frame"]
    assert [row["object_id"] for row in rows] == [str(number + 2**60) for number in range(5)]
    assert rows[1]["scale"] == pytest.approx(4 * 8.48 / 0.5 / 424)


def test_a_damaged_chunk_costs_its_row_alone(tmp_path):
    settings = forms.write_hdf5(tmp_path, SKIES)
    path = tmp_path / "all.h5"
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(2)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 20 : chunk.byte_offset + 400] = bytes(380)
    path.write_bytes(data)
    source = open_source(survey(format="hdf5", **settings))
    rows = decoded(source, str(tmp_path))
    assert [row["reason"] for row in rows] == [None, None, "unreadable_rows", None, None]
    assert "row 2 lies in a damaged chunk" in rows[2]["message"]
    path.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="is not sound HDF5"):
        source.list_shards(str(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match="holds no HDF5 file"):
        source.list_shards(str(tmp_path))
    with pytest.raises(InputError, match="doesn't exist"):
        source.read_ids(str(path))


def test_what_a_report_shows_is_the_picture(tmp_path):
    for number, form in enumerate(("hdf5", "parquet", "fits")):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = source_of(folder, form, frame={"arcsec": 8.0}, pixel_scale=0.4)
        shard = source.list_shards(str(folder))[0]
        with Viewer() as viewer:
            shown = viewer.view(source, shard.uri, [1, 3]).to_pylist()
        assert [row["object_id"] for row in shown] == ["g001", "g003"]
        assert shown[0]["image"] == png(SKIES[1].picture)
        assert shown[0]["frame_pixels"] == pytest.approx(20)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x\ncolour: {}\n", "unknown key 'colour'; did you mean 'color'"),
        ("format: fits\n", "'name' is missing"),
        ("name: x\nformat: fitz\n", "format='fitz': Input should be 'parquet', 'multimodal'"),
        ("name: x\ncolor: {bands: [g, r], stretch: 1, Q: 1}\n", "color.bands"),
        ("name: x\ncolor: {bands: [g, r, i], stretch: 0, Q: 1}\n", "color.stretch=0: .*greater than 0"),
        ("name: x\nframe: {column: a, arcsec: 3}\n", "give one of column, measured: true, arcsec"),
        ("name: x\nframe: {}\n", "give one of column"),
        ("name: x\nframe: {measurd: true}\n", "unknown key 'frame.measurd'; did you mean 'measured'"),
        ("name: x\nfiles: '{id}.fits'\n", "files is '{id}.fits'; expected one {object_id}"),
        (
            "name: x\nplanes: [g, r]\ncolor: {bands: [i, r, g], stretch: 1, Q: 1}\n",
            r"color.bands has 'i', which planes \(g, r\) lacks",
        ),
        (
            "name: x\nextension: {g: 1}\ncolor: {bands: [i, r, g], stretch: 1, Q: 1}\n",
            "extension lacks the band",
        ),
        ("[]", "expected a mapping"),
    ],
)
def test_a_survey_file_with_a_mistake(tmp_path, text, complaint):
    path = tmp_path / "survey.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_survey(str(path))


@pytest.mark.parametrize("name", ["sdss", "legacy", "lsst", "hubble"])
def test_the_projects_own_survey_files_are_sound(name):
    found = load_survey(f"configs/surveys/{name}.yaml")
    open_source(found.model_copy(update={"format": "fits"}))


def test_what_a_format_needs_of_a_survey_file_is_told():
    with pytest.raises(InputError, match="survey 'made' has no color, which fluxes need"):
        open_source(survey(format="hdf5", color=None))
    with pytest.raises(InputError, match="the format is not known; give it in the survey file"):
        open_source(survey())
    with pytest.raises(InputError, match=r"mask\.planes has 'SAT'; only FITS headers name planes"):
        open_source(survey(format="hdf5", mask={"name": "m", "planes": ["SAT"]}))
