"""The stages that explain, called as Ray Data calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.evaluation import galaxy_rmse
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import WorkUnit
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.excitation import Excitation, ExcitationActor, LoadedNetwork
from pipeline.streaming.model import ModelActor
from pipeline.streaming.portrait import PATCH, PORTRAIT_REACH, PortraitActor, covered_regions
from pipeline.streaming.regions import good_rows, regions_of
from pipeline.tree import GALAXY_ZOO_2, load_tree
from tests.support.galaxies import galaxy, png

TREE = load_tree()
GIVEN: dict[str, Any] = {
    "weights": DEFAULT_WEIGHTS,
    "tree": str(GALAXY_ZOO_2),
    "precision": "float32",
    "threads": 1,
}
BAD = 4


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight rows of two sizes, two of the same picture, one bad."""
    images = [png(galaxy(seed, 120 if seed % 2 else 200)) for seed in (0, 1, 2, 3, 4, 5, 6, 6)]
    images[BAD] = b"no picture"
    path = tmp_path_factory.mktemp("shard") / "shard.parquet"
    pq.write_table(pa.table({"object_id": [f"g{7 - i}" for i in range(8)], "image": images}), path)
    return str(path)


def test_the_excitation_of_units_of_work_is_that_of_all(shard: str) -> None:
    """Against the network's own activations and the answers of `ModelActor`."""
    votes = np.random.default_rng(1).random((3, TREE.answer_count), np.float32)
    ids = ("g7", "g0", "elsewhere")
    actor = ExcitationActor(**GIVEN, size=3, votes=(ids, votes))
    bounds = [(6, 8), (0, 3), (3, 6)]
    units = [decode_unit(WorkUnit(i, shard, *bound)) for i, bound in enumerate(bounds)]
    found = Excitation(256, 3)
    for unit in units:
        (row,) = actor(unit).to_pylist()
        found.add(row)
    assert (found.rows, found.seen) == (8, 7)
    whole = decode_unit(WorkUnit(0, shard, 0, 8))
    loaded, hidden = LoadedNetwork(**GIVEN), np.full((8, 256), np.nan)
    for rows, side in good_rows(whole):
        hidden[rows] = loaded.look(regions_of(whole, rows, side, None))[0]
    good = [row for row in range(8) if row != BAD]
    np.testing.assert_allclose(found.moments.variance, hidden[good].var(axis=0), rtol=1e-3, atol=1e-9)
    for unit in (0, 17, 255):
        order = sorted(good, key=lambda row: (-round(hidden[row, unit], 5), 7 - row))
        assert [place.row for place in found.rankings["most"].first(unit, 3)] == order[:3]
        (least,) = found.rankings["least"].first(unit, 1)
        assert -least.value == pytest.approx(hidden[good, unit].min(), abs=1e-5)
        assert least.shard == shard
    answers = np.array(ModelActor(**GIVEN, transforms=1)(whole)["probabilities"].to_pylist())
    errors = galaxy_rmse(answers[[0, 7]], votes[:2])
    hardest = found.rankings["hardest"].first(0, 3)
    assert [place.object_id for place in hardest] == [ids[i] for i in np.argsort(-errors)]
    assert [place.value for place in hardest] == pytest.approx(np.sort(errors)[::-1], abs=1e-5)


def test_a_unit_without_a_good_galaxy_adds_nothing(shard: str) -> None:
    actor, found = ExcitationActor(**GIVEN, size=2), Excitation(256, 2)
    (row,) = actor(decode_unit(WorkUnit(0, shard, BAD, BAD + 1))).to_pylist()
    found.add(row)
    assert (found.rows, found.seen, found.rankings["most"].first(0, 2)) == (1, 0, [])


def test_portraits_show_the_galaxy_its_layers_and_where_the_answer_comes_from(shard: str) -> None:
    actor = PortraitActor(**GIVEN, occlude=["g7"], galaxy="g6", viewpoint=5)
    rows = {row["object_id"]: row for row in actor(decode_unit(WorkUnit(0, shard, 0, 5))).to_pylist()}
    assert set(rows) == {"g7", "g6", "g5", "g4"}
    assert [name for name, row in rows.items() if row["drop"] is not None] == ["g7"]
    assert [name for name, row in rows.items() if row["layers"] is not None] == ["g6"]
    drop = np.array(rows["g7"]["drop"]).reshape(15, 15)
    assert np.abs(drop[4:11, 4:11]).max() > 10 * np.abs(drop[0, [0, -1]]).max()
    shapes = {layer["name"]: layer["shape"] for layer in rows["g6"]["layers"]}
    assert shapes["viewpoint"] == [3, 45, 45]
    assert shapes["convolution_1"] == [32, 20, 20]
    assert shapes["dense_2"] == [256]
    picture = np.frombuffer(rows["g7"]["picture"], np.uint8).reshape(144, 144, 3)
    assert picture[60:84, 60:84].mean() > picture[:8].mean() + 20


def test_what_is_covered_is_a_square_of_the_background(shard: str) -> None:
    unit = decode_unit(WorkUnit(0, shard, 0, 1))
    ((rows, side),) = good_rows(unit)
    region = regions_of(unit, rows, side, None)
    whole = torch.cat([part.pixels for part in covered_regions(region)])
    assert len(whole) == 15 * 15
    changed = (whole[112] != region.pixels[0]).any(-1)
    y, x = changed.nonzero().float().mean(0).tolist()
    center, width = region.center[0].tolist(), float(PATCH * region.scale[0])
    assert (x, y) == pytest.approx(center, abs=1.5)
    assert changed.sum() == pytest.approx(width**2, rel=0.2)
    assert PORTRAIT_REACH > 7 * 18 + PATCH / 2 - 1
