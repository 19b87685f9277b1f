"""The index of a tar: every member where it lies, in one pass, and damage noticed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.survey import open_source
from pipeline.survey.formats.indexed import Part, merged
from pipeline.survey.formats.webdataset import read_galaxies
from tests.support.forms import survey, tar_bytes

STEMS = st.text(
    st.characters(codec="utf-8", exclude_characters="/.\0", exclude_categories=["Cs", "Cc"]), min_size=1
)
SAMPLES = st.lists(
    st.tuples(
        st.lists(STEMS, min_size=1, max_size=3).map("/".join),
        st.sampled_from([".jpg", ".PNG", ".jpeg"]),
        st.binary(max_size=1500),
        st.none() | st.integers(-5, 5),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_each_image_is_read_back_from_its_range(tmp_path, samples, form):
    members, expected = [], []
    for number, (stem, suffix, image, ra, stranger) in enumerate(samples):
        stem = f"{number}/{stem}"  # stems of neighbours differ
        members.append((stem + suffix, image))
        if ra is not None:
            members.append((stem + ".json", json.dumps({"ra": ra, "object_id": f"id{number}"}).encode()))
        if stranger:
            members.append((stem + ".txt", b"passed over"))
        name = stem.rpartition("/")[2] if ra is None else f"id{number}"
        expected.append((name, ra, image))
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes(members, form))
    source = open_source(survey(format="webdataset"))
    if not samples:
        assert source.list_shards(str(path))[0].rows == 0
        return
    (shard,) = source.list_shards(str(path))
    assert shard.rows == len(samples)
    for start, stop in ((0, len(samples)), (len(samples) // 2, len(samples)), (0, 1)):
        rows = source.read_rows(shard.uri, start, stop)
        found = [(row["object_id"], row["ra"], row["image"][0][1]) for row in rows.cutouts()]
        assert found == expected[start:stop]
        assert rows.problems == {}
    assert source.read_ids(shard.uri).to_pylist() == [name for name, _, _ in expected]


def galaxies(tmp_path: Path, members, **settings):
    path = tmp_path / "t.tar"
    path.write_bytes(tar_bytes(members))
    return list(read_galaxies(str(path), survey(**settings)))


def test_the_order_of_members_and_strangers_among_them_do_not_matter(tmp_path):
    found = galaxies(
        tmp_path,
        [("x.json", b'{"ra": 3}'), ("x.cls", b"0"), ("x.png", b"1"), ("._x.png", b"mac"), ("y.png", b"2")],
    )
    assert [(one.object_id, one.ra, len(one.parts)) for one in found] == [("x", 3.0, 1), ("y", None, 1)]


def test_a_repeated_stem_is_a_galaxy_of_its_own(tmp_path):
    found = galaxies(tmp_path, [("x.png", b"1"), ("x.png", b"2"), ("y.png", b"3"), ("x.png", b"4")])
    assert [one.object_id for one in found] == ["x", "x", "y", "x"]
    twice = galaxies(tmp_path, [("x.png", b"1"), ("x.json", b"{}"), ("x.json", b"{}")])
    assert [one.problem is None for one in twice] == [True, False]


@pytest.mark.parametrize(
    ("content", "settings", "reason", "message"),
    [
        (b"{", {}, "bad_metadata", "x: not JSON"),
        (b"[" * 100_000, {}, "bad_metadata", "x: not JSON"),
        (b"[1]", {}, "bad_metadata", "x: holds list; expected an object"),
        (b'{"ra": "far"}', {}, "bad_metadata", "x: ra is 'far'; expected a number"),
        (b'{"object_id": 1.5}', {}, "bad_metadata", "object_id is 1.5; expected a text or an integer"),
        (b'{"object_id": "\\ud800"}', {}, "bad_metadata", "surrogates not allowed"),
        (b'{"a": 1}', {"columns": {"object_id": "id"}}, "bad_metadata", "there is no 'id' (there are a)"),
        (b'{"a": 1}', {"frame": {"column": "r90"}}, "bad_metadata", "there is no 'r90' (there are a)"),
        (b"{}" + b" " * (1 << 20), {}, "bad_metadata", "x.json has 1048578 bytes; at most 1048576 are read"),
    ],
)
def test_bad_metadata_cost_their_row_alone(tmp_path, content, settings, reason, message):
    members = [("x.png", b"1"), ("x.json", content), ("y.png", b"2"), ("y.json", b'{"id": 7, "r90": 2.5}')]
    bad, good = galaxies(tmp_path, members, **settings)
    assert bad.problem is not None
    assert bad.problem[0] == reason
    assert message in bad.problem[1]
    assert bad.object_id == (None if "columns" in settings else "x")
    assert good.problem is None
    if "frame" in settings:
        assert good.size == 2.5


def test_a_sample_without_image_is_told(tmp_path):
    (found,) = galaxies(tmp_path, [("x.json", b"{}")])
    assert found.problem is not None
    assert found.problem[0] == "empty"
    assert "x has no image; expected one of .jpg, .jpeg, .png, .fits" in found.problem[1]


def test_a_link_is_no_image(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("x.png")
        link.type, link.linkname = tarfile.SYMTYPE, "y.png"
        tar.addfile(link)
    (found,) = read_galaxies(str(path), survey())
    assert found.problem == ("bad_metadata", "x: x.png is a link or has holes; expected a plain file")


def test_a_tar_that_is_not_sound_is_refused(tmp_path):
    members = [(f"{number}.png", bytes(700)) for number in range(5)]
    data = tar_bytes(members)
    path = tmp_path / "a.tar"
    source = open_source(survey(format="webdataset"))
    damaged = bytearray(data)
    damaged[3 * 1536 + 10] ^= 0xFF  # in the header of the fourth member
    for content, complaint in (
        (b"no tar at all" * 100, "is not a sound tar"),
        (b"\x1f\x8b" + data, "is not a sound tar"),
        (data[: 2 * 1536 + 600], "is not a sound tar"),
        (data[: 2 * 1536 + 100], "is not a sound tar"),
        (bytes(damaged), r"header at byte 4608 is damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=complaint):
            source.list_shards(str(path))
    path.write_bytes(data[: 5 * 1536])  # without the blocks of zeros that some leave out
    assert source.list_shards(str(path))[0].rows == 5
    with pytest.raises(InputError, match=r"none doesn't exist; expected WebDataset shards"):
        source.list_shards(str(tmp_path / "none"))
    path.unlink()
    with pytest.raises(InputError, match=r"holds no \.tar file"):
        source.list_shards(str(tmp_path))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.builds(
            Part,
            st.none(),
            st.sampled_from(["a", "b"]),
            st.integers(0, 1 << 27),
            st.integers(0, 40 << 20),
        ),
        max_size=20,
    )
)
def test_requests_hold_all_parts_once_and_little_else(parts):
    blocks = merged(parts)
    assert sorted(map(repr, (part for block in blocks for part in block))) == sorted(map(repr, set(parts)))
    for block in blocks:
        assert len({part.file for part in block}) == 1
        spans = [(part.offset or 0, part.size or 0) for part in block]
        start, stop = min(offset for offset, _ in spans), max(offset + size for offset, size in spans)
        assert len(block) == 1 or stop - start <= max(32 << 20, max(size for _, size in spans))


def test_neighbours_are_fetched_in_one_request():
    near = [Part(None, "a", 1000 * number, 900) for number in range(50)]
    far = Part(None, "a", 1 << 24, 10)
    assert merged([far, *near]) == [near, [far]]
