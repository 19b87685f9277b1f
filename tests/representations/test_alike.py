"""Look-alikes in a catalogue: the same as by hand, under conditions, in a region, and what they share."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.region import Cone
from pipeline.catalogue.snapshot import BATCH_ROWS
from pipeline.catalogue.where import parse_where
from pipeline.errors import InputError
from pipeline.representations import direction, look_alikes, open_embeddings, shared_answers, usual_answers
from pipeline.representations.reading import Embeddings
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.representations.test_reading import rows_of

COUNT = BATCH_ROWS + 500


@pytest.fixture(scope="module")
def catalogue(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = rows_of(tree, COUNT, stale=["gone", *[None] * (COUNT - 1)])
    return write_catalogue(str(tmp_path_factory.mktemp("alike") / "c"), tree, rows)


@pytest.fixture(scope="module")
def embeddings(catalogue: str, tree: DecisionTree) -> Embeddings:
    return open_embeddings(catalogue, tree)


@pytest.fixture(scope="module")
def every(embeddings: Embeddings) -> tuple[list[str], np.ndarray, np.ndarray]:
    batches = list(embeddings.batches(["bar_yes"]))
    ids = [name for batch in batches for name in batch.rows["object_id"].to_pylist()]
    bars = np.concatenate([batch.rows["bar_yes"].to_numpy() for batch in batches])
    return ids, bars, np.concatenate([batch.vectors for batch in batches])


def test_the_nearest_are_those_of_all_cosines(embeddings: Embeddings, every: tuple) -> None:
    ids, _, vectors = every
    found = look_alikes(embeddings, direction(vectors[40:41]), 12)
    units = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    scores = units @ units[40]
    order = np.argsort(-scores)[:12]
    assert found["object_id"].to_pylist() == [ids[i] for i in order]
    np.testing.assert_allclose(found["similarity"], scores[order], atol=1e-8)
    assert found["ra"][0].as_py() == pytest.approx(int(ids[40][1:]) / 100)


def test_conditions_and_examples_are_kept_to(
    embeddings: Embeddings, every: tuple, tree: DecisionTree
) -> None:
    ids, bars, vectors = every
    condition = parse_where("bar_yes > 0.7", embeddings.schema)
    found = look_alikes(embeddings, direction(vectors[40:41]), 50, condition, without=[ids[40]])
    bar = dict(zip(ids, bars, strict=True))
    assert len(found) == 50
    assert ids[40] not in found["object_id"].to_pylist()
    assert all(bar[name] > 0.7 for name in found["object_id"].to_pylist())
    nobody = parse_where("object_id == 'nobody'", embeddings.schema)
    assert not len(look_alikes(embeddings, direction(vectors[:1]), 5, nobody))


def test_a_region_holds_the_found_and_not_the_examples(catalogue: str, tree: DecisionTree) -> None:
    embeddings = open_embeddings(catalogue, tree, region=Cone(1.0, -1.0, 0.055))
    example = embeddings.find(["g9000"])
    found = look_alikes(embeddings, direction(example.vectors), 24)
    assert sorted(found["object_id"].to_pylist()) == sorted(f"g{n}" for n in range(95, 106))
    nowhere = open_embeddings(catalogue, tree, region=Cone(1.0, 80.0, 0.1))
    assert not len(look_alikes(nowhere, direction(example.vectors), 24))


def test_galaxies_are_found_by_id_and_by_position(embeddings: Embeddings, every: tuple) -> None:
    ids, bars, vectors = every
    batch = embeddings.find([ids[BATCH_ROWS + 3], ids[7], ids[7]], ["bar_yes"])
    assert batch.rows["object_id"].to_pylist() == [ids[BATCH_ROWS + 3], ids[7], ids[7]]
    np.testing.assert_array_equal(batch.vectors, vectors[[BATCH_ROWS + 3, 7, 7]])
    assert batch.rows["bar_yes"][1].as_py() == bars[7]
    assert len(embeddings.find([])) == 0
    assert embeddings.at(0.07 + 1e-3, -1.0) == "g7"
    with pytest.raises(InputError, match=r"no galaxy within 10 arcsec of 0.075, -1;"):
        embeddings.at(0.075, -1.0)
    with pytest.raises(InputError, match=r"no galaxy within 10 arcsec"):
        embeddings.at(0.0, -1.0)  # the source has it no longer
    with pytest.raises(InputError, match=r"has no galaxy 'nobody'; name one by its object_id"):
        embeddings.find([ids[7], "nobody"])
    with pytest.raises(InputError, match=r"has no galaxy 'g0' any more"):
        embeddings.find(["g0"])


def test_what_two_share_is_what_both_have_more_than_usual(embeddings: Embeddings, tree: DecisionTree) -> None:
    usual = usual_answers(embeddings, tree)
    answers = np.concatenate(
        [
            np.column_stack([b.rows[c].to_numpy() for c in tree.columns])
            for b in embeddings.batches(tree.columns)
        ]
    )
    np.testing.assert_allclose(usual, answers.mean(axis=0), atol=1e-5)
    usual = np.array([0.1, 0.5, 0.2, 0.3])
    assert shared_answers(np.array([0.9, 0.6, 0.5, 0.9]), np.array([0.4, 0.9, 0.6, 0.1]), usual) == [0, 2]
    assert shared_answers(np.array([0.9, 0.9, 0.9, np.nan]), np.ones(4), usual, limit=2) == [0, 2]
