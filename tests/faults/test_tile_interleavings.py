"""Two commands at once on positions and tiles, one asleep or killed: each galaxy once, none lost."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cutouts import list_shards
from pipeline.protocol.layout import is_temporary
from tests.faults.company import Player, company
from tests.faults.history import current, versions
from tests.faults.stage import Stage
from tests.support.survey_tiles import Sky, survey_file, tile_grid, wcs_at, write_table

SIDE, SIZE, STEP = 2, 160, 150
OBJECTS = 40
TILES = ("tiles=tiles", "positions=positions.csv", "survey=survey.yaml", "files=sky-{tile}-{band}.fits")
CLASSIFY = ("classify", *TILES, "output=out", "transforms=1", "precision=float32", "unit_rows=8")
CUT = ("cut", *TILES, "output=cutouts")
HERE, THERE = Stage(host="here", lifetime=4, report=False), Stage(host="there", lifetime=4, report=False)

INDEX_BEGUN, INDEX_WRITTEN = "out/tiles/.tiles-*", "out/tiles/tiles-*"
SHARD_PLANNED, UNIT_DONE = "out/runs/*/index/.*", "out/runs/*/ledger/*"
"""When a run is stopped, by the file that has just appeared."""


@pytest.fixture(scope="module", autouse=True)
def _company() -> Iterator[None]:
    with company():
        yield


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Positions on four tiles, over their borders and outside, and one that stands twice."""
    rng = np.random.default_rng(3)
    whole = wcs_at(150, 2, (STEP * SIDE / 2, STEP * SIDE / 2))
    x, y = rng.uniform(-20, STEP * SIDE + 20, (2, OBJECTS))
    ra, dec = whole.all_pix2world(x, y, 0)
    tile_grid(tmp_path / "tiles", Sky(ra, dec), 150, 2, SIDE, SIZE, STEP)
    ids = [f"g{number}" for number in range(OBJECTS)]
    write_table(tmp_path / "positions.csv", [*ids, "g0"], [*ra, ra[0]], [*dec, dec[0]])
    survey_file(tmp_path)
    return tmp_path


def succeed(words: tuple[str, ...], folder: Path, stage: Stage = THERE) -> None:
    player = Player(words, stage, folder)
    assert player.wait() == 0, player.text()


def check_catalogue(here: Path) -> None:
    """Every row of the table is in the catalogue or the quarantine once; tables of tiles are whole."""
    (newest,) = [version for version in versions(str(here / "out")) if len(version)]
    classified = current(newest)
    (rejects,) = (here / "out").glob("runs/*/quarantine.parquet")
    quarantined = pq.read_table(rejects)["object_id"].to_pylist()
    ids = [f"g{number}" for number in range(OBJECTS)]
    assert sorted([*classified, *quarantined]) == sorted([*ids, "g0"])
    assert len(set(classified)) == len(classified)
    succeed(("verify", "out"), here)
    (summary,) = (here / "out").glob("runs/*/summary.json")
    assert not [place for place in json.loads(summary.read_bytes())["files"] if is_temporary(place)]
    kept = list((here / "out" / "tiles").glob("*.parquet"))
    assert sorted(path.name.partition("-")[0] for path in kept) == ["plan", "tiles"]
    for path in [*kept, *(here / "out").glob("runs/*/index/*.parquet")]:
        assert len(pq.read_table(path)) > 0


@pytest.mark.parametrize(
    ("moment", "fate"),
    [
        pytest.param(INDEX_BEGUN, signal.SIGCONT, marks=pytest.mark.long),
        pytest.param(INDEX_WRITTEN, signal.SIGCONT, marks=pytest.mark.long),
        pytest.param(SHARD_PLANNED, signal.SIGCONT, marks=pytest.mark.long),
        (SHARD_PLANNED, signal.SIGKILL),
        (UNIT_DONE, signal.SIGCONT),
    ],
)
def test_a_run_that_is_overtaken_classifies_no_position_twice(
    here: Path, moment: str, fate: signal.Signals
) -> None:
    """The other takes itself to be on another machine, so that it takes the lease over after a lifetime."""
    first = Player(CLASSIFY, replace(HERE, stop_when=moment), here)
    try:
        first.wait_until_stopped()
        if fate == signal.SIGKILL:
            first.signal(fate)
        succeed(CLASSIFY, here)
        first.signal(fate)
        assert first.wait() in (3, -signal.SIGKILL), first.text()
    finally:
        first.signal(signal.SIGKILL)
    check_catalogue(here)


def test_two_runs_that_index_the_tiles_at_once_make_one_catalogue(here: Path) -> None:
    players = [Player(CLASSIFY, stage, here) for stage in (HERE, THERE)]
    assert sorted(player.wait() or 0 for player in players) in ([0, 0], [0, 3])
    check_catalogue(here)


@pytest.mark.parametrize("moment", ["cutouts/_cut/.tiles-*", "cutouts/_cut/unit-*"])
def test_a_cut_that_slept_while_another_ended_leaves_the_same_set(here: Path, moment: str) -> None:
    sleeper = Player(CUT, replace(HERE, stop_when=moment), here)
    try:
        sleeper.wait_until_stopped()
        succeed(CUT, here)
        before = contents(here / "cutouts")
        sleeper.signal(signal.SIGCONT)
        assert sleeper.wait() == 0, sleeper.text()
    finally:
        sleeper.signal(signal.SIGKILL)
    assert contents(here / "cutouts") == before
    cut = [name for shard in list_shards(str(here / "cutouts")) for name in ids_of(shard.uri)]
    with (here / "cutouts" / "misses.csv").open() as file:
        missed = [row["object_id"] for row in csv.DictReader(file)]
    assert sorted([*cut, *missed]) == sorted([*(f"g{number}" for number in range(OBJECTS)), "g0"])


def ids_of(shard: str) -> list[str]:
    ids: list[str] = pq.read_table(shard, columns=["object_id"])["object_id"].to_pylist()
    return ids


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those that are being written."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
