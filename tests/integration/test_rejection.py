"""A catalogue that says which pictures have no galaxy, as its user makes it, filters it and drops that."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import open_catalogue
from pipeline.catalogue import catalogue_schema
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.tree import load_tree
from tests.images.test_rejection import blob, picture, sky
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import png
from tests.support.tables import snapshot

TREE = load_tree()
SETTINGS = ("input=cutouts", "output=out", "transforms=1", "precision=float32")


def test_a_catalogue_with_rejection_and_then_without(tmp_path: Path) -> None:
    shown = {"star": blob(3, 3, 150), "galaxy": blob(25, 12, 90), "empty": blob(1, 1, 0)}
    rows = [{"object_id": name, "image": png(picture(sky() + light))} for name, light in shown.items()]
    rows.append({"object_id": "broken", "image": b"no picture"})
    (tmp_path / "cutouts").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA), tmp_path / "cutouts" / "a.parquet")
    done = tuningfork("classify", *SETTINGS, "rejection=true", "unit_rows=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    catalogue = str(tmp_path / "out" / "catalogue")
    table = snapshot(catalogue)
    assert table.schema.names == catalogue_schema(TREE, rejection=True).names
    said = dict(zip(table["object_id"].to_pylist(), table["rejection"].to_pylist(), strict=True))
    assert said == {"star": "star", "galaxy": "none", "empty": "empty"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (page.count('"rejection":"star"'), page.count('"rejection":"none"')) == (1, 0)
    assert tuningfork("verify", "out", cwd=tmp_path).returncode == 0
    galaxies = open_catalogue(catalogue).to_pandas(["object_id"], where=[("rejection", "==", "none")])
    assert galaxies["object_id"].tolist() == ["galaxy"]
    exported = tuningfork("export", catalogue, "all.csv", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert dict(pd.read_csv(tmp_path / "all.csv")[["object_id", "rejection"]].to_numpy()) == said
    again = tuningfork("refresh", *SETTINGS, "unit_rows=1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert ": rejection (was " in again.stderr + again.stdout
    assert snapshot(catalogue).schema.names == catalogue_schema(TREE).names
