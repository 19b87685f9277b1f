"""Embeddings, and how sure answers are, as a user adds them, checks them, reads them and drops them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import Classifier
from pipeline.catalogue import catalogue_schema
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.network import DEFAULT_WEIGHTS, read_card
from pipeline.representations import open_embeddings, read_projection
from pipeline.tree import load_tree
from tests.support.command import tuningfork_here as tuningfork
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

TREE = load_tree()
SETTINGS = ("input=cutouts", "output=out", "transforms=1", "precision=float32")


def test_a_catalogue_without_them_and_then_with(tmp_path: Path) -> None:
    pictures = {f"g{number}": galaxy(number, 120) for number in range(6)}
    (tmp_path / "cutouts").mkdir()
    rows = [{"object_id": name, "image": png(picture)} for name, picture in pictures.items()]
    rows.append({"object_id": "broken", "image": b"no picture"})
    table = pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA)
    pq.write_table(table, tmp_path / "cutouts" / "a.parquet")
    assert tuningfork("classify", *SETTINGS, cwd=tmp_path).returncode == 0
    catalogue = str(tmp_path / "out" / "catalogue")
    plain = snapshot(catalogue).sort_by("object_id")
    done = tuningfork("refresh", *SETTINGS, "embedding=true", "uncertainty=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lacks columns of this run, so all 7 galaxies" in done.stdout + done.stderr
    seen = snapshot(catalogue).sort_by("object_id")
    assert seen.schema.names == catalogue_schema(TREE, embedding=True, uncertainty=True).names
    assert seen.select(TREE.columns).equals(plain.select(TREE.columns))
    assert tuningfork("verify", "out", cwd=tmp_path).returncode == 0

    card = read_card(DEFAULT_WEIGHTS)
    embeddings = open_embeddings(catalogue, TREE)
    assert embeddings.weights == card.sha256
    assert embeddings.projection == read_projection(DEFAULT_WEIGHTS, card.sha256).sha256
    (batch,) = embeddings.batches()
    order = np.argsort(batch.rows["object_id"].to_numpy(zero_copy_only=False))
    frame = Classifier(transforms=1, precision="float32", embedding=True, uncertainty=True).predict(
        pictures.values()
    )
    in_memory = np.stack(frame["embedding"].tolist())
    assert in_memory.shape == (6, 64)
    assert in_memory.std() > 5
    np.testing.assert_allclose(batch.vectors[order].astype(int), in_memory, atol=1)
    for name in ("bar_yes_low", "bar_yes_high", "bar_volunteers", "out_of_place", "frame_ratio"):
        np.testing.assert_allclose(seen[name].to_numpy(), frame[name], rtol=1e-4, atol=1e-4)

    export = tuningfork("export", "out/catalogue", "out.csv", "--format", "csv", cwd=tmp_path)
    assert export.returncode == 0, export.stderr
    assert "embedding is left out" in export.stdout + export.stderr
    again = tuningfork("refresh", *SETTINGS, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    for name in ("embedding", "uncertainty"):
        assert f"{name} (was " in again.stderr + again.stdout
    assert snapshot(catalogue).schema.names == catalogue_schema(TREE).names
    assert tuningfork("verify", "out", cwd=tmp_path).returncode == 0


def test_weights_without_a_projection_say_so_before_any_work(tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        source = Path(DEFAULT_WEIGHTS.removesuffix(".safetensors") + suffix)
        (tmp_path / f"own{suffix}").write_bytes(source.read_bytes())
    (tmp_path / "cutouts").mkdir()
    (tmp_path / "cutouts" / "galaxy.png").write_bytes(png(galaxy(1, 64)))
    done = tuningfork("classify", *SETTINGS, "weights=own.safetensors", "embedding=true", cwd=tmp_path)
    assert done.returncode == 2
    assert "own.safetensors can't give embeddings, for there is no" in done.stderr
    assert not (tmp_path / "out").exists()
