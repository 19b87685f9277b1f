"""Tiles in an object store: the same cutouts as from a disk, and only a part of each file fetched."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from s3fs.core import S3File

from pipeline import storage
from pipeline.cutouts import list_shards
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.company import Player, company
from tests.faults.stage import Stage
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import BANDS, Sky, survey_file, wcs_at, write_band, write_table
from tests.support.tables import snapshot

FILES = "files=sky-{tile}-{band}.fits"
SIZE = 1000
OBJECTS = 6


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Bytes that are fetched of each object, by its name."""
    counts: Counter[str] = Counter()
    fetch = S3File._fetch_range

    def counting(file: Any, start: int, end: int) -> bytes:
        counts[storage.name(file.path)] += min(end, file.size) - start
        return bytes(fetch(file, start, end))

    monkeypatch.setattr(S3File, "_fetch_range", counting)
    return counts


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """One tile of a megapixel with galaxies in its lowest tenth."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(20, SIZE - 20, OBJECTS), rng.uniform(20, 100, OBJECTS)
    ra, dec = wcs_at(150, 2, (SIZE / 2, SIZE / 2)).all_pix2world(x, y, 0)
    write_table(tmp_path / "positions.csv", [f"g{n}" for n in range(OBJECTS)], ra, dec)
    survey_file(tmp_path)
    wcs = wcs_at(150, 2, (SIZE / 2, SIZE / 2))
    for band in BANDS:
        light = Sky(ra, dec).light(wcs, SIZE, SIZE, band)
        light += rng.normal(0, 0.01, light.shape).astype(np.float32)  # so that compression leaves something
        write_band(tmp_path / "tiles" / f"sky-00-{band}.fits", light, wcs)
        write_band(tmp_path / "packed" / f"sky-00-{band}.fits.fz", light, wcs, compressed=True)
    return tmp_path


def upload(folder: Path, uri: str) -> None:
    for path in folder.iterdir():
        storage.write_bytes(f"{uri}/{path.name}", path.read_bytes())


def rows_of(uri: str) -> list[dict[str, Any]]:
    tables = [storage.read_bytes(shard.uri) for shard in list_shards(uri)]
    rows = [row for data in tables for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    return sorted(rows, key=lambda row: str(row["object_id"]))


@pytest.mark.parametrize(("folder", "suffix"), [("tiles", ""), ("packed", ".fz")])
def test_cutouts_are_those_of_a_disk_and_of_tiles_only_the_rows_with_objects_are_read(
    field: Path, bucket: str, fetched: Counter[str], folder: str, suffix: str
) -> None:
    upload(field / folder, f"{bucket}/{folder}")
    storage.write_bytes(f"{bucket}/positions.csv", (field / "positions.csv").read_bytes())
    survey = {"survey": field / "survey.yaml"}
    words = (FILES + suffix,)
    cut_here(
        *words,
        positions=f"{bucket}/positions.csv",
        tiles=f"{bucket}/{folder}",
        output=f"{bucket}/{folder}-cut",
        **survey,
    )
    of_tiles = {name: count for name, count in fetched.items() if name.startswith("sky-")}
    cut_here(*words, positions=field / "positions.csv", tiles=field / folder, output=field / "cut", **survey)
    assert rows_of(f"{bucket}/{folder}-cut") == rows_of(str(field / "cut"))
    assert len(rows_of(str(field / "cut"))) == OBJECTS
    sizes = {path.name: path.stat().st_size for path in (field / folder).iterdir()}
    assert of_tiles.keys() == sizes.keys()
    for name, count in of_tiles.items():
        assert count < 0.25 * sizes[name], (name, count, sizes[name])


@pytest.mark.long
def test_classify_takes_tiles_and_positions_from_the_store(
    field: Path, in_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    upload(field / "tiles", f"{bucket}/tiles")
    storage.write_bytes(f"{bucket}/positions.csv", (field / "positions.csv").read_bytes())
    words = [f"tiles={bucket}/tiles", f"positions={bucket}/positions.csv", f"output={bucket}/out"]
    settings = ["survey=survey.yaml", FILES, "transforms=1", "precision=float32"]
    with company():
        player = Player(
            ["classify", *words, *settings],
            Stage(report=False),
            tmp_path,
            in_store.environment | no_other_keys(),
        )
        assert player.wait() == 0, player.text()
    ids = snapshot(f"{bucket}/out/catalogue")["object_id"].to_pylist()
    assert sorted(ids) == [f"g{n}" for n in range(OBJECTS)]
