"""The index: what it finds, what is built again, and which catalogue it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from numpy.typing import NDArray

from pipeline.catalogue.embedding import to_binary
from pipeline.catalogue.region import Cone
from pipeline.catalogue.snapshot import open_table
from pipeline.catalogue.where import parse_where
from pipeline.errors import InputError
from pipeline.representations import direction, look_alikes, open_embeddings
from pipeline.representations.finding import indexed_look_alikes
from pipeline.representations.index import (
    NOWHERE,
    Manifest,
    Shard,
    build_shard,
    commit,
    missing_shards,
    open_index,
    order_for,
    rows_by_tile,
    shards_of,
)
from pipeline.representations.reading import Embeddings
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import galaxies, write_catalogue
from tests.representations.test_search import vectors_like_embeddings

COUNT = 6_000


def kinds(count: int) -> NDArray[np.int8]:
    """Vectors about a hundred centres."""
    centres = vectors_like_embeddings(100)[np.random.default_rng(2).integers(0, 100, count)]
    return (centres // 2 + vectors_like_embeddings(count, 3) // 3).astype(np.int8)


def sky(tree: DecisionTree, count: int = COUNT) -> pa.Table:
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    places = [(f"g{i}", None if i % 50 == 0 else float(ra[i]), float(dec[i])) for i in range(count)]
    rows = galaxies(tree, places, embedding=True)
    place = rows.schema.get_field_index("embedding")
    column = pa.chunked_array([to_binary(kinds(count))])
    return rows.set_column(place, rows.schema.field(place), column)


def opened(catalogue: str, tree: DecisionTree) -> tuple[Embeddings, int]:
    version = open_table(catalogue, tree).version()
    return open_embeddings(catalogue, tree, str(version)), version


def build(catalogue: str, tree: DecisionTree, index: str, order: int = 0) -> list[Shard]:
    """Build and commit; the shards that weren't there."""
    embeddings, version = opened(catalogue, tree)
    shards = shards_of(embeddings, order)
    missing = {shard.tile: shard for shard in missing_shards(index, shards)}
    for tile, rows in rows_by_tile(embeddings, order, missing):
        build_shard(index, missing[tile], rows)
    manifest = Manifest(
        catalogue=catalogue,
        snapshot=version,
        weights=embeddings.weights,
        projection=embeddings.projection,
        order=order,
        shards=tuple(shards),
    )
    commit(index, manifest)
    return list(missing.values())


@pytest.fixture(scope="module")
def catalogue(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_catalogue(str(tmp_path_factory.mktemp("index") / "c"), tree, sky(tree))


@pytest.fixture(scope="module")
def index_of_all(catalogue: str, tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    index = str(tmp_path_factory.mktemp("indexed") / "index")
    build(catalogue, tree, index)
    return index


def test_it_finds_nearly_all_that_the_exact_search_finds(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    built = build(catalogue, tree, str(tmp_path / "index"))
    assert len(built) == 13
    assert sum(shard.rows for shard in built) == COUNT
    assert built[0].tile == NOWHERE
    embeddings, version = opened(catalogue, tree)
    index, recalls = open_index(str(tmp_path / "index"), embeddings, version), []
    for number in range(0, COUNT, 300):
        vectors = embeddings.find([f"g{number}", "g1", "g2"]).vectors
        wanted = direction(vectors[:2], vectors[2:])
        exact = look_alikes(embeddings, wanted, 10, without=["g1", f"g{number}"])
        near = index.look_alikes(wanted, 10, without=["g1", f"g{number}"])
        assert near.schema.names == exact.schema.names
        both = set(near["object_id"].to_pylist()) & set(exact["object_id"].to_pylist())
        recalls.append(len(both) / 10)
        assert near["similarity"].to_pylist() == sorted(near["similarity"].to_pylist(), reverse=True)
    assert np.mean(recalls) >= 0.95


def test_only_what_changed_is_built_again(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    rows = sky(tree)
    own, index = write_catalogue(str(tmp_path / "c"), tree, rows), str(tmp_path / "index")
    first = build(own, tree, index)
    assert build(own, tree, index) == []
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(COUNT)))
    write_deltalake(own, shuffled, mode="overwrite")
    assert build(own, tree, index) == []
    less = rows.filter(pa.array([name != "g1" for name in rows["object_id"].to_pylist()]))
    write_deltalake(own, less, mode="overwrite")
    (again,) = build(own, tree, index)
    before = next(shard for shard in first if shard.tile == again.tile)
    assert again.rows == before.rows - 1
    shards = sorted((tmp_path / "index" / "shards").iterdir())
    assert len(shards) == 2 * 14  # the index of before can be read on
    write_deltalake(own, rows.slice(100), mode="overwrite")
    build(own, tree, index)
    assert not [path for path in (tmp_path / "index" / "shards").iterdir() if path.stem == before.name]


def test_an_index_of_another_catalogue_is_refused(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    embeddings, version = opened(catalogue, tree)
    with pytest.raises(InputError, match=r"is no index: make it with `tuningfork index"):
        open_index(index, embeddings, version)
    build(catalogue, tree, index)
    with pytest.raises(InputError, match=rf"is of snapshot {version}, and .* of {version + 1}"):
        open_index(index, embeddings, version + 1)
    rows = sky(tree, 100)
    place = rows.schema.get_field_index("weights")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(["v" * 64] * 100))
    other, number = opened(write_catalogue(str(tmp_path / "other"), tree, rows), tree)
    with pytest.raises(InputError, match=r"is of weights w{12}, and .* of v{12}"):
        open_index(index, other, number)


def test_tiles_hold_half_a_million_galaxies_at_most_on_average() -> None:
    assert [order_for(n) for n in (0, 6_000_000, 6_000_001, 24_000_001, 20_000_000_000)] == [0, 0, 1, 2, 6]


@pytest.mark.parametrize("where", [None, "bar_yes > 0.5", "bar_yes > 0.95"])
@pytest.mark.parametrize("region", [None, Cone(10, 20, 40), Cone(200, -80, 15)])
def test_conditions_and_regions_are_kept_to(
    catalogue: str, tree: DecisionTree, index_of_all: str, where: str | None, region: Cone | None
) -> None:
    version = open_table(catalogue, tree).version()
    embeddings = open_embeddings(catalogue, tree, str(version), region)
    index = open_index(index_of_all, embeddings, version)
    condition = None if where is None else parse_where(where, embeddings.schema)
    recalls = []
    for number in range(0, COUNT, 1500):
        wanted = direction(embeddings.find([f"g{number}"]).vectors)
        exact = look_alikes(embeddings, wanted, 10, condition, [f"g{number}"])
        near = indexed_look_alikes(index, embeddings, wanted, 10, condition, [f"g{number}"])
        assert near.schema == exact.schema
        assert len(near) == len(exact) > 0
        recalls.append(len({*near["object_id"].to_pylist()} & {*exact["object_id"].to_pylist()}) / len(exact))
    assert np.mean(recalls) >= (1.0 if region else 0.95)


def test_a_rare_condition_is_answered_by_all_vectors(
    catalogue: str, tree: DecisionTree, index_of_all: str
) -> None:
    embeddings, version = opened(catalogue, tree)
    index = open_index(index_of_all, embeddings, version)
    vector = embeddings.find(["g7"]).vectors
    condition = parse_where("object_id in ('g7', 'g11', 'g13')", embeddings.schema)
    for wanted in (direction(vector), -direction(vector)):
        found = indexed_look_alikes(index, embeddings, wanted, 5, condition, ["g7"])
        assert sorted(found["object_id"].to_pylist()) == ["g11", "g13"]
    empty = parse_where("bar_yes > 2", embeddings.schema)
    assert not len(indexed_look_alikes(index, embeddings, wanted, 5, empty))


def test_many_in_a_region_are_found_by_its_lists(
    catalogue: str, tree: DecisionTree, index_of_all: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.representations.index._ALL_COMPARED", 10)
    version, region = open_table(catalogue, tree).version(), Cone(90, 0, 60)
    embeddings = open_embeddings(catalogue, tree, str(version), region)
    index, recalls = open_index(index_of_all, embeddings, version), []
    for number in range(0, COUNT, 500):
        wanted = direction(embeddings.find([f"g{number}"]).vectors)
        exact = look_alikes(embeddings, wanted, 10)["object_id"].to_pylist()
        near = index.look_alikes(wanted, 10, (), region)["object_id"].to_pylist()
        assert len(near) == 10
        recalls.append(len({*near} & {*exact}) / 10)
    assert np.mean(recalls) >= 0.95


def test_all_are_found_where_all_are_asked_for(catalogue: str, tree: DecisionTree, index_of_all: str) -> None:
    embeddings, version = opened(catalogue, tree)
    wanted = direction(embeddings.find(["g7"]).vectors)
    found = open_index(index_of_all, embeddings, version).look_alikes(wanted, 2 * COUNT)
    assert found.equals(look_alikes(embeddings, wanted, 2 * COUNT))
