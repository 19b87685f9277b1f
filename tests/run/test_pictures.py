"""Which folders are taken for pictures, and what is said of those that aren't."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.protocol import WorkUnit
from pipeline.run.pictures import pictures_of
from pipeline.run.planning import repetitions
from pipeline.run.settings import StreamConfig
from pipeline.streaming.decode import decode_unit
from pipeline.survey import open_source
from tests.support.galaxies import galaxy, png


def taken(folder: Path) -> bool:
    return pictures_of(StreamConfig(input=str(folder), output="/tmp/out")) is not None


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        taken(folder)
    return str(refused.value)


def test_a_folder_without_pictures_is_told_what_would_be_taken(tmp_path: Path) -> None:
    expected = "expected pictures (.jpg, .jpeg, .png) or a cutout set (.parquet), or files that a survey file"
    empty = refusal(tmp_path)
    assert f"{tmp_path} is empty; {expected}" in empty
    assert f"nowhere doesn't exist; {expected}" in refusal(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("seen in March")
    (tmp_path / "survey.tar").write_bytes(b"")
    assert f"holds no pictures, but {tmp_path / 'survey.tar'}, for one; {expected}" in refusal(tmp_path)


def test_another_form_of_cutouts_among_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("seen in March")
    assert taken(tmp_path)
    (tmp_path / "b.tar").write_bytes(b"")
    assert f"holds {tmp_path / 'b.tar'} among its pictures" in refusal(tmp_path)


def test_a_link_to_nothing_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "absent.jpg")
    assert taken(tmp_path)


def test_parquet_is_a_cutout_set_whatever_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "part-0.parquet").write_bytes(b"")
    (tmp_path / "thumbnail.jpg").write_bytes(b"")
    assert not taken(tmp_path)


def test_a_bad_picture_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    for name in ("g1.png", "later/g1.png"):
        (tmp_path / name).write_bytes(png(galaxy(1, 64)))
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "absent.jpg")
    survey = pictures_of(StreamConfig(input=str(tmp_path), output="/tmp/out"))
    source = open_source(survey)
    (shard,) = repetitions(source, source.list_shards(str(tmp_path)))
    unit = WorkUnit(0, shard.uri, 0, shard.rows, shard.duplicates)
    rows = decode_unit(unit, source=source).select(["object_id", "reason", "message"]).to_pylist()
    assert [(row["object_id"], row["reason"]) for row in rows] == [
        ("g1", None),
        ("g1", "duplicate_object_id"),
        ("lost", "unreadable_rows"),
    ]
    first, again = tmp_path / "g1.png", tmp_path / "later" / "g1.png"
    assert rows[1]["message"] == f"{again} has the object_id 'g1' of {first}; that one counts"
    lost = f"{tmp_path / 'lost.jpg'}: it doesn't exist; it is a link to nothing"
    assert lost in rows[2]["message"]
