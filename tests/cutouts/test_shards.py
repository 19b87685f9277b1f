import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cutouts import (
    CUTOUT_SCHEMA,
    ShardWriter,
    list_shards,
    read_field,
    read_ids,
    read_rows,
    read_survey,
)
from pipeline.errors import InputError


def rows(count):
    return [
        {"object_id": f"g{i:03d}", "ra": i / 7, "dec": -i / 9 if i % 3 else None, "image": bytes([i]) * i}
        for i in range(count)
    ]


def write(uri, count=57, field=None, **options):
    options = {"shard_rows": 20, "row_group_rows": 6} | options
    writer = ShardWriter(uri, name="test", source="nowhere", criteria={"depth": 3}, **options)
    if field is not None:
        writer.write_field(field)
    for row in rows(count):
        writer.write(row)
    return writer.finish({"dropped": 4})


@pytest.fixture
def cutouts(tmp_path):
    uri = str(tmp_path / "cutouts")
    write(uri)
    return uri


@pytest.fixture(params=["local", "memory"])
def uri(request, tmp_path):
    return str(tmp_path / "set") if request.param == "local" else f"memory://{tmp_path.name}/set"


def test_shards_hold_all_rows_in_order(uri):
    survey = write(uri)
    shards = list_shards(uri)
    assert [shard.rows for shard in shards] == [20, 20, 17]
    assert [shard.uri.rsplit("/", 1)[1] for shard in shards] == [f"cutouts-0000{i}.parquet" for i in range(3)]
    assert all(shard.size > 0 and shard.etag for shard in shards[:1]) or uri.startswith("memory")
    table = pa.concat_tables(read_rows(shard.uri, 0, shard.rows) for shard in shards)
    assert table.schema.equals(CUTOUT_SCHEMA)
    expected = [dict.fromkeys(CUTOUT_SCHEMA.names) | row for row in rows(57)]
    assert table.to_pylist() == expected
    assert read_survey(uri) == survey
    assert (survey.cutouts, survey.counts, survey.criteria) == (57, {"dropped": 4}, {"depth": 3})


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 20), (0, 1), (5, 7), (6, 12), (11, 19), (18, 20), (19, 20), (7, 7), (20, 20)]
)
def test_row_ranges_cross_row_groups(cutouts, start, stop):
    shard = list_shards(cutouts)[1]
    table = read_rows(shard.uri, start, stop)
    assert table["object_id"].to_pylist() == [f"g{20 + i:03d}" for i in range(start, stop)]
    assert table["image"].to_pylist() == [bytes([20 + i]) * (20 + i) for i in range(start, stop)]
    assert table.schema.equals(CUTOUT_SCHEMA)


def test_only_the_row_groups_needed_are_read(cutouts, monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda self, g, **k: read.append(list(g)) or original(self, g, **k)
    )
    read_rows(list_shards(cutouts)[0].uri, 5, 13)
    assert read == [[0, 1, 2]]
    read_rows(list_shards(cutouts)[0].uri, 6, 12)
    assert read[1:] == [[1]]


def test_a_flipped_bit_in_an_image_is_noticed(tmp_path):
    """Images aren't compressed, so that nothing but the page's checksum guards them."""
    write(str(tmp_path / "set"))
    shard = tmp_path / "set" / "cutouts-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[data.index(bytes([19]) * 19)] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(InputError, match="CRC checksum"):
        read_rows(str(shard), 0, 20)


def test_ids_are_read_alone(cutouts):
    ids = read_ids(list_shards(cutouts)[2].uri)
    assert ids.to_pylist() == [f"g{i:03d}" for i in range(40, 57)]
    assert ids.type == pa.string()


@pytest.mark.parametrize(("start", "stop"), [(0, 21), (-1, 3), (5, 4), (30, 40)])
def test_rows_that_are_not_there(cutouts, start, stop):
    with pytest.raises(InputError, match=f"has 20 rows; expected rows {start} to {stop}"):
        read_rows(list_shards(cutouts)[0].uri, start, stop)


def test_shards_are_plain_parquet_with_units(cutouts):
    file = pq.ParquetFile(list_shards(cutouts)[0].uri)
    assert file.num_row_groups == 4
    assert file.schema_arrow.field("ra").metadata == {
        b"unit": b"deg",
        b"description": b"Right ascension, ICRS",
    }
    assert not any(isinstance(column.type, pa.ExtensionType) for column in file.schema_arrow)


def test_an_empty_set_has_a_shard(uri):
    assert write(uri, 0).cutouts == 0
    (shard,) = list_shards(uri)
    assert shard.rows == 0
    assert len(read_rows(shard.uri, 0, 0)) == len(read_ids(shard.uri)) == 0


def test_one_file_is_a_set(cutouts):
    (shard,) = list_shards(f"{cutouts}/cutouts-00001.parquet")
    assert shard.rows == 20


def test_a_table_from_elsewhere_is_conformed(tmp_path):
    table = pa.table(
        {
            "image": pa.array([b"a", b"b", b"c"], pa.large_binary()),
            "object_id": pa.array([587722981742084144, 2, 3]),
            "petroR90_r": [1.0, 2.0, 3.0],
            "ra": pa.array([1.5, 2.5, 3.5], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "mine.parquet")
    (tmp_path / "_metadata.parquet").write_bytes(b"")
    (shard,) = list_shards(str(tmp_path))
    read = read_rows(shard.uri, 0, 2)
    assert read.schema.equals(CUTOUT_SCHEMA)
    assert read["object_id"].to_pylist() == ["587722981742084144", "2"] == read_ids(shard.uri).to_pylist()[:2]
    assert read["ra"].to_pylist() == [1.5, 2.5]
    assert read["frame_pixels"].null_count == 2


def test_a_set_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="nowhere doesn't exist; expected a cutout set"):
        list_shards(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="holds no Parquet file; expected a cutout set"):
        list_shards(str(tmp_path))
    with pytest.raises(InputError, match="Protocol not known: foo"):
        list_shards("foo://bucket/set")


def test_a_file_that_is_not_parquet(tmp_path):
    for content in (b"", b"PAR1 and not much else PAR1", b"<html>"):
        (tmp_path / "bad.parquet").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.parquet is not sound Parquet"):
            list_shards(str(tmp_path))
        with pytest.raises(InputError, match=r"bad\.parquet is not sound Parquet"):
            read_rows(str(tmp_path / "bad.parquet"), 0, 1)
    with pytest.raises(InputError, match="it doesn't exist"):
        read_ids(str(tmp_path / "gone.parquet"))


def test_columns_that_are_missing_or_wrong(tmp_path):
    file = tmp_path / "table.parquet"
    pq.write_table(pa.table({"object_id": ["a"], "picture": [b"x"]}), file)
    with pytest.raises(
        InputError, match=r"no column 'image' \(it has object_id, picture\).*tuningfork ingest"
    ):
        list_shards(str(tmp_path))
    pq.write_table(pa.table({"object_id": ["a"], "image": [b"x"], "ra": ["12:30"]}), file)
    with pytest.raises(InputError, match="column 'ra' is string; expected double"):
        list_shards(str(tmp_path))
    pq.write_table(pa.table({"object_id": [1.5], "image": [b"x"]}), file)
    with pytest.raises(InputError, match="column 'object_id' is double; expected string"):
        read_rows(str(file), 0, 1)


def test_a_set_that_was_cut_short_is_refused(tmp_path, cutouts):
    (tmp_path / "cutouts" / "survey.json").unlink()
    with pytest.raises(InputError, match=r"no survey\.json: its ingest was cut short"):
        list_shards(cutouts)
    write(cutouts)
    assert sum(shard.rows for shard in list_shards(cutouts)) == 57


def test_a_set_that_lost_or_gained_a_shard_is_refused(tmp_path, cutouts):
    shard = tmp_path / "cutouts" / "cutouts-00001.parquet"
    pq.write_table(pa.table({"object_id": ["a"], "image": [b"x"]}), tmp_path / "cutouts" / "more.parquet")
    with pytest.raises(InputError, match=r"more\.parquet has 1 rows and survey\.json says no such shard"):
        list_shards(cutouts)
    (tmp_path / "cutouts" / "more.parquet").unlink()
    shard.unlink()
    with pytest.raises(InputError, match=r"00001\.parquet has no rows and survey\.json says 20"):
        list_shards(cutouts)


def test_a_broken_manifest_is_refused(tmp_path, cutouts):
    manifest = tmp_path / "cutouts" / "survey.json"
    text = manifest.read_text()
    for content, complaint in (
        ("{", "not valid JSON"),
        ("[]", "holds list"),
        (json.dumps(json.loads(text) | {"extra": 1}), "unknown key 'extra'"),
    ):
        manifest.write_text(content)
        with pytest.raises(InputError, match=complaint):
            list_shards(cutouts)


def test_a_writer_replaces_nothing(cutouts):
    with pytest.raises(InputError, match="finished by another ingest"):
        write(cutouts)
    with pytest.raises(InputError, match=r"00000\.parquet is there already, from another ingest"):
        write(cutouts, shard_rows=30)


def test_a_row_needs_the_right_columns(tmp_path):
    writer = ShardWriter(str(tmp_path), name="n", source="s", criteria={})
    with pytest.raises(InputError, match="'image' is absent or unknown"):
        writer.write({"object_id": "a"})
    with pytest.raises(InputError, match="'colour' is absent or unknown"):
        writer.write({"object_id": "a", "image": b"", "colour": 3})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "name"), [(b"\x89PNG\r\n\x1a\n..", "field.png"), (b"\xff\xd8\xff..", "field.jpg")]
)
def test_the_field_lies_beside_the_shards(uri, field, name):
    write(uri, 3, field)
    assert read_field(uri) == field
    assert read_field(f"{uri}/cutouts-00000.parquet") == field


def test_a_set_without_a_field(cutouts):
    assert read_field(cutouts) is None


def test_a_folder_of_pictures_is_told_what_to_do(tmp_path):
    (tmp_path / "my galaxies").mkdir()
    (tmp_path / "my galaxies" / "a.jpg").write_bytes(b"")
    expected = r"1 pictures.*`tuningfork ingest images '.*/my galaxies' output='.*/my galaxies-cutouts'`"
    with pytest.raises(InputError, match=expected):
        list_shards(str(tmp_path / "my galaxies"))
