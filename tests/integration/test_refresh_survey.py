"""A small real survey kept up to date: 4,000 positions of SDSS, through all that happens to a source."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from deltalake import DeltaTable

from pipeline.catalogue import catalogue_schema
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.network import DEFAULT_WEIGHTS, load_network, save_network
from pipeline.tree import load_tree
from tests.support.command import tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sdss_sky"
SETTINGS = ("transforms=1", "precision=float32")
SHARD_ROWS = 500
NEW, CHANGED, GONE = 25, 40, 10
SECONDS = 20
"""Within which a refresh says that nothing changed."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA.exists(), reason=f"the cutouts of SDSS are not at {DATA}"),
]

Cutouts = dict[str, dict[str, object]]


def survey() -> Cutouts:
    with (DATA / "positions.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        row["name"]: {
            "object_id": row["name"],
            "ra": float(row["ra"]),
            "dec": float(row["dec"]),
            "image": (DATA / "images" / f"{row['name']}.jpg").read_bytes(),
        }
        for row in rows
    }


def write(folder: Path, cutouts: Cutouts) -> None:
    """All shards anew, so that nearly every galaxy stands elsewhere once one is gone."""
    folder.mkdir(exist_ok=True)
    rows = list(cutouts.values())
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        table = pa.Table.from_pylist(rows[start : start + SHARD_ROWS], CUTOUT_SCHEMA)
        pq.write_table(table, folder / f"{number:03d}.parquet", row_group_size=100)


def other_weights(folder: Path) -> str:
    """The shipped network, every weight moved by a few hundredths: another training of the same."""
    network, card = load_network(DEFAULT_WEIGHTS, load_tree())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weights in network.parameters():
            weights *= 1 + 0.05 * torch.randn(weights.shape, generator=generator)
    uri = str(folder / "other.safetensors")
    save_network(network, uri, card.model_copy(update={"score": {}}))
    return uri


def test_a_survey_is_kept_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = str(tmp_path / "out" / "catalogue")

    def refresh(*words: str) -> tuple[str, float]:
        start = time.monotonic()
        done = tuningfork("refresh", "input=cutouts", "output=out", *SETTINGS, *words, cwd=tmp_path)
        seconds = time.monotonic() - start
        assert done.returncode == 0, done.stderr
        with capsys.disabled():
            print(f"\n{seconds:.1f} s: {done.stdout}")
        return done.stdout, seconds

    def version() -> int:
        return int(DeltaTable(catalogue).version())

    def rows(number: int | None = None) -> pa.Table:
        return snapshot(catalogue, number).sort_by("object_id")

    every = survey()
    assert len(every) == 4000
    chosen = np.random.default_rng(1).permutation(sorted(every))
    new, changed, gone = np.split(chosen[: NEW + CHANGED + GONE], [NEW, NEW + CHANGED])
    first = {name: row for name, row in every.items() if name not in set(new)}
    write(tmp_path / "cutouts", first)
    said, _ = refresh()
    assert "all 3,975 galaxies are new" in said
    oldest = rows()
    assert (version(), len(oldest)) == (1, 3975)

    said, idle = refresh()
    assert "Nothing changed" in said
    assert version() == 1

    second = {name: row for name, row in every.items() if name not in set(gone)}
    for number, name in enumerate(changed):
        second[name] = {**second[name], "image": png(galaxy(number, 200))}
    write(tmp_path / "cutouts", second)
    said, _ = refresh()
    assert "65 of 3,990 galaxies are new or have changed, 10 are gone" in said
    assert "65 galaxies classified, 0 quarantined" in said
    assert "Changes:   25 new, 40 changed, 3,925 kept, 10 gone; of 3,965 compared" in said
    middle = rows()
    assert (version(), len(middle)) == (2, 4000)
    latest = pc.invert(pc.is_in(middle["run"], pc.unique(oldest["run"])))
    assert set(middle.filter(latest)["object_id"].to_pylist()) == {*new, *changed}
    assert set(middle.filter(middle["stale"].is_valid())["object_id"].to_pylist()) == set(gone)

    said, _ = refresh(f"weights={other_weights(tmp_path)}")
    assert ": weights (was " in said
    assert "All 3,990 galaxies are classified anew" in said
    assert "Changes:   3,990 classified anew, 10 stale before and after; of 3,990 compared" in said
    assert version() == 3
    assert rows()["weights"].filter(rows()["stale"].is_null()).unique() != oldest["weights"].unique()
    assert len(list((tmp_path / "out" / "runs").glob("*/changes/report.html"))) == 2

    names = catalogue_schema(load_tree()).names
    for number, expected in enumerate((oldest, middle), start=1):
        words = ("--format", "parquet", "--as-of", str(number))
        done = tuningfork("export", "out/catalogue", f"{number}.parquet", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = pq.read_table(tmp_path / f"{number}.parquet").sort_by("object_id")
        assert found.select(names).equals(expected.select(names))
    done = tuningfork("verify", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert idle < SECONDS, "that nothing changed took too long to say; other work on this machine counts"
