"""Clumps of galaxies, from the model stage to rows of the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalogue import catalogue_schema
from pipeline.catalogue.clumps import CLUMP_COUNT, CLUMPS, unpack_clumps
from pipeline.catalogue.export.clumps import CLUMP_SCHEMA, clump_columns
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.streaming.rows import DecodeSettings
from pipeline.streaming.sink import write_unit
from pipeline.survey import SurveySettings, open_source
from pipeline.tree import GALAXY_ZOO_2, load_tree
from tests.support.clumpy import PLACES, RATIO, clumpy, write_point_detector
from tests.support.galaxies import png

TREE = load_tree()
MEASURED = RATIO / (1 + RATIO * len(PLACES))
"""Their ratio to all of the galaxy's light, their own included."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("detector") / "points.safetensors")
    write_point_detector(uri)
    return uri


def stage(clump_weights: str | None) -> ModelActor:
    return ModelActor(DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), 1, "float32", 1, "cpu", clump_weights=clump_weights)


def shard(folder: Path, **columns: object) -> WorkUnit:
    """A clumpy galaxy, a smooth one, a broken one, and a clumpy one in the corner of a larger picture."""
    wide = np.full((700, 800, 3), 8, np.uint8)
    wide[250:674, 330:754] = clumpy()
    rows = [
        {"object_id": "clumpy", "image": png(clumpy()), "ra": 10.0, "dec": -60.0},
        {"object_id": "smooth", "image": png(clumpy(())), "ra": 11.0, "dec": 5.0},
        {"object_id": "broken", "image": b"no picture"},
        {
            "object_id": "aside",
            "image": png(wide),
            "center_x": 330 + 211.5,
            "center_y": 250 + 211.5,
            "frame_pixels": 424.0,
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA), folder / "a.parquet")
    return WorkUnit(0, str(folder / "a.parquet"), 0, len(rows))


def test_rows_have_the_clumps_that_are_there(tmp_path: Path, weights: str) -> None:
    layout = RunLayout(str(tmp_path / "out"), "run")
    write_unit(stage(weights)(decode_unit(shard(tmp_path))), layout, TREE, "w" * 64)
    entry = read_ledger(layout)[0]
    assert entry.part is not None
    assert (entry.classified, sum(entry.quarantined.values())) == (3, 1)
    rows = pq.read_table(f"{layout.parts}/{entry.part.name}")
    assert rows.schema.names == catalogue_schema(TREE, clumps=True).names
    assert rows[CLUMP_COUNT].to_pylist() == [3, 0, 3]
    clumped, smooth, aside = unpack_clumps(rows[CLUMPS].to_pylist())
    assert len(smooth) == 0
    known = np.array(PLACES) + 211.5
    for clumps, corner in ((clumped, (0, 0)), (aside, (330, 250))):
        offsets = np.hypot(
            clumps["x"][:, None] - corner[0] - known[:, 0], clumps["y"][:, None] - corner[1] - known[:, 1]
        )
        assert sorted(offsets.argmin(axis=1)) == [0, 1, 2]
        assert offsets.min(axis=1).max() < 5
        np.testing.assert_allclose(clumps["flux_ratio_blue"], MEASURED, rtol=0.3)
        assert (clumps["flux_ratio_red"] < clumps["flux_ratio_green"]).all()
        assert (clumps["flux_ratio_green"] < clumps["flux_ratio_blue"]).all()
    assert np.isnan(clumped["ra"]).all()  # nothing tells the picture's scale


def test_where_the_scale_is_known_clumps_have_a_place_in_the_sky(tmp_path: Path, weights: str) -> None:
    unit = shard(tmp_path)
    source = open_source(SurveySettings(name="own", format="parquet", pixel_scale=0.5))
    decoded = decode_unit(unit, source=source)
    clumps = unpack_clumps(stage(weights)(decoded)[CLUMPS].to_pylist())[0]
    assert clumps["ra"].min() > 9.9
    north = -(clumps["y"] - 211.5) * 0.5 / 3600
    east = -(clumps["x"] - 211.5) * 0.5 / 3600
    np.testing.assert_allclose(clumps["dec"] - -60.0, north, atol=2e-6)
    np.testing.assert_allclose((clumps["ra"] - 10.0) * np.cos(np.radians(clumps["dec"])), east, atol=2e-6)


def test_jpegs_that_are_decoded_later_have_the_same_columns(tmp_path: Path, weights: str) -> None:
    decoded = decode_unit(shard(tmp_path), settings=DecodeSettings(keep_jpegs=True))
    rows = stage(weights)(decoded)
    assert [len(one) for one in unpack_clumps(rows[CLUMPS].to_pylist())] == [3, 0, 0, 3]


def test_answers_stay_what_they_are(tmp_path: Path, weights: str) -> None:
    decoded = decode_unit(shard(tmp_path))
    plain, clumped = stage(None)(decoded), stage(weights)(decoded)
    assert CLUMPS not in plain.column_names
    assert plain["probabilities"].equals(clumped["probabilities"])


def test_a_table_of_clumps_has_a_row_for_each(tmp_path: Path, weights: str) -> None:
    layout = RunLayout(str(tmp_path / "out"), "run")
    write_unit(stage(weights)(decode_unit(shard(tmp_path))), layout, TREE, "w" * 64)
    part = read_ledger(layout)[0].part
    assert part is not None
    (batch,) = pq.read_table(f"{layout.parts}/{part.name}").combine_chunks().to_batches()
    columns = clump_columns(batch)
    assert set(columns) == set(CLUMP_SCHEMA.names)
    assert columns["object_id"].to_pylist() == [
        f"{name}#{i}" for name in ("clumpy", "aside") for i in (1, 2, 3)
    ]
    assert columns["relaxed"].to_pylist() == [1] * 6
    assert columns["ra"].null_count == 6
    assert clump_columns(batch.slice(1, 1)) == {}


def test_clumps_that_are_not_whole_are_refused() -> None:
    with pytest.raises(InputError, match="45 bytes; expected a multiple of 44"):
        unpack_clumps([b"", bytes(88), bytes(45)])
