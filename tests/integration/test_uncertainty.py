"""A catalogue that says how sure its answers are, as its user makes it, checks it and changes their mind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import Classifier
from pipeline.catalogue import catalogue_schema
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.tree import load_tree
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

TREE = load_tree()
SETTINGS = ("input=cutouts", "output=out", "transforms=1", "precision=float32")


def test_a_catalogue_with_uncertainty_and_then_without(tmp_path: Path) -> None:
    pictures = {f"g{number}": galaxy(number, 120) for number in range(6)}
    (tmp_path / "cutouts").mkdir()
    rows = [{"object_id": name, "image": png(picture)} for name, picture in pictures.items()]
    table = pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA)
    pq.write_table(table, tmp_path / "cutouts" / "a.parquet")
    done = tuningfork("classify", *SETTINGS, "uncertainty=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    catalogue = str(tmp_path / "out" / "catalogue")
    sure = snapshot(catalogue)
    assert sure.schema.names == catalogue_schema(TREE, uncertainty=True).names
    assert tuningfork("verify", "out", cwd=tmp_path).returncode == 0
    in_memory = Classifier(transforms=1, precision="float32", uncertainty=True).predict(pictures.values())
    order = np.argsort(sure["object_id"].to_numpy())
    for name in ("bar_yes_low", "bar_yes_high", "bar_volunteers", "out_of_place", "frame_ratio"):
        np.testing.assert_allclose(sure[name].to_numpy()[order], in_memory[name], rtol=1e-4, atol=1e-4)
    again = tuningfork("refresh", *SETTINGS, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert ": uncertainty (was " in again.stderr + again.stdout
    assert snapshot(catalogue).schema.names == catalogue_schema(TREE).names
    assert tuningfork("verify", "out", cwd=tmp_path).returncode == 0
