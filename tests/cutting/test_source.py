"""Tiles as a source of galaxies: what a run reads of them, row by row, without a cutout set."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cutouts import list_shards
from pipeline.cutting.source import TileSource
from pipeline.errors import InputError
from pipeline.images import ImageError
from pipeline.protocol import WorkUnit
from pipeline.protocol.records.quarantine import QUARANTINE_REASONS
from pipeline.run.planning import repetitions
from pipeline.run.settings import StreamConfig
from pipeline.run.tiles import survey_of_tiles
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.sources import open_source
from pipeline.survey.develop import develop
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import Sky, survey_file, tile_grid, wcs_at, write_table

FILES = "sky-{tile}-{band}.fits"
SIDE, SIZE, STEP = 2, 160, 150
OBJECTS = 90


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """Tiles, and a table of which some positions lie outside and some rows can't be used."""
    rng = np.random.default_rng(5)
    whole = wcs_at(150, 2, (STEP * SIDE / 2, STEP * SIDE / 2), 20)
    x, y = rng.uniform(-25, STEP * SIDE + 30, (2, OBJECTS))
    ra, dec = whole.all_pix2world(x, y, 0)
    tile_grid(tmp_path / "tiles", Sky(ra, dec), 150, 2, SIDE, SIZE, STEP, angle=20)
    ids = [f"g{i}" for i in range(OBJECTS)]
    radius = rng.uniform(0.5, 1, OBJECTS)
    write_table(
        tmp_path / "positions.csv",
        [*ids, "g3", "lost", "", "flat", "g5"],
        [*ra, ra[3], np.nan, 150, 150, np.nan],
        [*dec, dec[3], 2, 2, 2, 2],
        petroR90_r=[*radius, 1, 1, 1, 0, 1],
    )
    survey_file(tmp_path, frame={"column": "petroR90_r"})
    return tmp_path


def source_of(field: Path, cache: Path | None = None, output: Path | None = None) -> TileSource:
    config = StreamConfig.model_validate(
        {
            "tiles": str(field / "tiles"),
            "positions": str(field / "positions.csv"),
            "survey": str(field / "survey.yaml"),
            "files": FILES,
            "output": str(output or field / "out"),
        }
    )
    return TileSource(survey_of_tiles(config), cache=None if cache is None else str(cache))


def shards_of(source: TileSource, field: Path) -> dict[str, int]:
    return {shard.uri: shard.rows for shard in source.list_shards(str(field / "tiles"))}


@pytest.mark.parametrize("pixels_at_once", [1, 1 << 23])
def test_a_row_of_the_stream_is_what_cut_would_have_written(
    field: Path, monkeypatch: pytest.MonkeyPatch, pixels_at_once: int
) -> None:
    """Whether rows are cut one by one, as large frames are, or together."""
    monkeypatch.setattr("pipeline.cutting.source._PIECE_PIXELS", pixels_at_once)
    cut_here(
        f"files={FILES}",
        positions=field / "positions.csv",
        tiles=field / "tiles",
        survey=field / "survey.yaml",
        output=field / "cutouts",
    )
    tables = [pq.read_table(shard.uri) for shard in list_shards(str(field / "cutouts"))]
    written = {row["object_id"]: row for row in pa.concat_tables(tables).to_pylist()}
    misses = pa.csv.read_csv(field / "cutouts" / "misses.csv").to_pylist()
    source = source_of(field)
    shards = shards_of(source, field)
    source.save_index(str(field / "index"))
    reader = open_source(source.survey, str(field / "index"))  # as another process has it
    seen, problems = set(), []
    for uri, rows in shards.items():
        read = reader.read_rows(uri, 0, rows)
        for offset, cutout in enumerate(read.cutouts()):
            try:
                if offset in read.problems:
                    raise ImageError(*read.problems[offset])
                galaxy = develop(cutout, reader)
            except ImageError as error:
                problems.append((cutout["object_id"], error.reason))
                continue
            own = written[cutout["object_id"]]
            seen.add(cutout["object_id"])
            assert np.array_equal(galaxy.pixels, np.asarray(Image.open(io.BytesIO(own["image"]))))
            assert galaxy.frame_pixels == own["frame_pixels"]
            assert galaxy.center == (own["center_x"], own["center_y"])
            assert (galaxy.ra, galaxy.dec) == (own["ra"], own["dec"])
    assert seen == written.keys()
    assert sorted(problems, key=str) == sorted(((row["object_id"], row["reason"]) for row in misses), key=str)
    assert len(seen) + len(problems) == OBJECTS + 5
    assert {"outside", "bad_position", "bad_size", "duplicate_id", "bad_object_id"} == {
        reason for _, reason in problems
    }


def test_a_row_that_repeats_an_id_counts_as_that_whatever_else_is_wrong_with_it(field: Path) -> None:
    source = source_of(field)
    *cut, rest = repetitions(source, source.list_shards(str(field / "tiles")))
    assert rest.uri.endswith("tiles#misses")
    assert not any(shard.duplicates for shard in cut)
    unit = WorkUnit(0, rest.uri, 0, rest.rows, rest.duplicates)
    decoded = decode_unit(unit, source=source).select(["object_id", "reason"]).to_pylist()
    reasons = {row["object_id"]: row["reason"] for row in decoded}
    assert {reasons[name] for name in ("g3", "g5")} == {"duplicate_object_id"}
    assert (reasons["lost"], reasons[""], reasons["flat"]) == ("bad_position", "bad_object_id", "bad_size")
    assert set(reasons.values()) <= QUARANTINE_REASONS


def test_any_range_of_rows_is_cut_alike(field: Path) -> None:
    source = source_of(field)
    for uri, rows in shards_of(source, field).items():
        whole = source.read_contents(uri, 0, rows)
        pieces = source.group_ranges(uri, 0, rows)
        assert pieces[0][0] == 0
        assert [stop for _, stop in pieces[:-1]] == [start for start, _ in pieces[1:]]
        assert pieces[-1][1] == rows
        assert pa.concat_tables([source.read_contents(uri, *piece) for piece in pieces]) == whole


def test_what_is_kept_gives_the_same_shards_and_a_changed_tile_another(field: Path) -> None:
    source = source_of(field, field / "kept")
    first = source.list_shards(str(field / "tiles"))
    assert not (field / "kept").exists()  # as of a dry run
    source.save_index(str(field / "index"))
    again = source_of(field, field / "kept")
    assert again.list_shards(str(field / "tiles")) == first
    assert len(list((field / "kept").iterdir())) == 2
    assert source_of(field).list_shards(str(field / "tiles")) == first
    reader = open_source(source.survey, str(field / "index"))
    for shard in first:
        assert (reader.describe(shard.uri).size, reader.describe(shard.uri).etag) == (shard.size, shard.etag)
    tile = field / "tiles" / "sky-00-r.fits"
    os.utime(tile, (1, 1))
    etags = {shard.uri: shard.etag for shard in first}
    changed = {uri for uri, etag in etags.items() if reader.describe(uri).etag != etag}
    assert 0 < len(changed) < len(first)  # what can't be cut is of no tile
    listed = {shard.uri: shard.etag for shard in again.list_shards(str(field / "tiles"))}
    assert {uri for uri in etags if listed[uri] != etags[uri]} == changed
    tile.unlink()
    with pytest.raises(InputError, match=r"sky-00-r\.fits"):
        reader.describe(next(iter(changed)))


def test_a_new_position_leaves_the_others_as_they_were(field: Path) -> None:
    """Its row comes first in the table; what others hold doesn't tell their rows."""
    before = source_of(field)
    rows = shards_of(before, field)
    contents = {
        row["object_id"]: row["content"]
        for uri, n in rows.items()
        for row in before.read_contents(uri, 0, n).to_pylist()
    }
    path = field / "positions.csv"
    head, rest = path.read_text().split("\n", 1)
    path.write_text(f"{head}\nnew,150.0,2.0,0.7\n{rest}")
    after = source_of(field)
    now = {
        row["object_id"]: row["content"]
        for uri, n in shards_of(after, field).items()
        for row in after.read_contents(uri, 0, n).to_pylist()
    }
    assert now.pop("new") is not None
    assert now == contents


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": None}, "tiles needs positions"),
        ({"input": "elsewhere"}, "give one of them"),
        ({"tiles": None, "input": "pictures"}, "files is of images to cut galaxies from"),
        ({"files": "frame-{band}.fits"}, r"expected one \{tile\}"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(field: Path, changes: dict, message: str) -> None:
    given = {"tiles": "t", "positions": "p.csv", "survey": "sdss", "files": FILES, "output": str(field)}
    with pytest.raises(ValueError, match=message):
        StreamConfig.model_validate(given | changes)


def test_a_survey_without_colours_or_a_frame_is_refused(field: Path) -> None:
    survey_file(field, frame={"measured": True})
    with pytest.raises(InputError, match=r"frame\.arcsec=WIDTH"):
        source_of(field)


def test_an_output_among_the_tiles_is_refused(field: Path) -> None:
    with pytest.raises(InputError, match="lies in the folder of tiles"):
        source_of(field, output=field / "tiles" / "out")
