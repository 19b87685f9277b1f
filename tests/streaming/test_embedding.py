"""Embeddings of galaxies, from the model stage to rows: the same whatever else a run writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.averaging import naive_with_hidden
from pipeline.catalogue import catalogue_schema
from pipeline.catalogue.embedding import to_vectors
from pipeline.config import CONFIGS
from pipeline.geometry import IDENTITY
from pipeline.network import (
    DEFAULT_WEIGHTS,
    Card,
    Ensemble,
    ViewpointSampler,
    load_network,
    load_network_spec,
    read_card,
    save_ensemble,
    save_network,
)
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.representations import Projection, read_projection
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.streaming.regions import good_rows, regions_of
from pipeline.streaming.rows import DecodeSettings
from pipeline.streaming.sink import write_unit
from pipeline.tree import GALAXY_ZOO_2, load_tree
from tests.support.trained import trained_like
from tests.training.small import SPEC

TREE = load_tree()


@pytest.fixture(scope="module")
def projection() -> Projection:
    return read_projection(DEFAULT_WEIGHTS, read_card(DEFAULT_WEIGHTS).sha256)


@pytest.fixture(scope="module")
def decoded(hubble_shard: Path) -> pa.Table:
    return decode_unit(WorkUnit(0, str(hubble_shard), 0, 5))


def stage(weights: str, projection: Projection | None, transforms: int = 1) -> ModelActor:
    return ModelActor(weights, str(GALAXY_ZOO_2), transforms, "float32", 1, "cpu", projection=projection)


def vectors_of(answered: pa.Table) -> np.ndarray:
    return to_vectors(answered["embedding"].combine_chunks())


def test_rows_have_the_vectors_of_the_hidden_layer(
    decoded: pa.Table, projection: Projection, tmp_path: Path
) -> None:
    layout = RunLayout(str(tmp_path / "out"), "run")
    write_unit(stage(DEFAULT_WEIGHTS, projection)(decoded), layout, TREE, "w" * 64)
    part = read_ledger(layout)[0].part
    assert part is not None
    rows = pq.read_table(f"{layout.parts}/{part.name}")
    assert rows.schema.names == catalogue_schema(TREE, embedding=True).names
    network = load_network(DEFAULT_WEIGHTS, TREE)[0]
    assert vectors_of(rows).std() > 10
    for index, side in good_rows(decoded):
        regions = regions_of(decoded, index, side, None)
        hidden = naive_with_hidden(network, ViewpointSampler(), regions, (IDENTITY,))[1]
        np.testing.assert_allclose(vectors_of(rows)[index].astype(int), projection(hidden.numpy()), atol=1)


@pytest.mark.parametrize("transforms", [1, 60])
def test_answers_are_the_same_to_the_bit(transforms: int, decoded: pa.Table, projection: Projection) -> None:
    few = decoded[:2]
    without = stage(DEFAULT_WEIGHTS, None, transforms)(few)
    with_vectors = stage(DEFAULT_WEIGHTS, projection, transforms)(few)
    assert "embedding" not in without.column_names
    assert with_vectors["probabilities"].equals(without["probabilities"])


def test_an_ensemble_has_the_vectors_of_its_first_network(
    decoded: pa.Table, projection: Projection, tmp_path: Path
) -> None:
    """Also where another is in it for which galaxies are recentred."""
    recentring = load_network_spec(CONFIGS / "networks" / "maxout2048_pysex.yaml").recentring
    assert recentring is not None
    networks = {
        "first": load_network(DEFAULT_WEIGHTS, TREE)[0],
        "second": trained_like(SPEC.model_copy(update={"recentring": recentring}), TREE),
    }
    members = {}
    for name, network in networks.items():
        card = Card(network=network.spec, tree=TREE.name, columns=TREE.columns)
        members[f"{name}.safetensors"] = save_network(
            network, str(tmp_path / f"{name}.safetensors"), card
        ).sha256
    save_ensemble(str(tmp_path / "two.ensemble.json"), Ensemble(name="two", members=members))
    alone = stage(str(tmp_path / "first.safetensors"), projection)(decoded)
    unit = WorkUnit(0, decoded["shard"][0].as_py(), 0, len(decoded))
    together = stage(str(tmp_path / "two.ensemble.json"), projection)(
        decode_unit(unit, settings=DecodeSettings((recentring.threshold,)))
    )
    np.testing.assert_array_equal(vectors_of(together), vectors_of(alone))
    assert not together["probabilities"].equals(alone["probabilities"])
