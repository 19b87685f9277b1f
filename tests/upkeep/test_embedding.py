"""Verify sees vectors that aren't whole, and a table that names another projection than its run's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.catalogue import answer_matrix, catalogue_schema
from pipeline.catalogue.embedding import with_projection
from pipeline.catalogue.schema import planned_schema
from pipeline.protocol import Plan, PlannedShard, RunLayout, make_plan
from pipeline.tree import DecisionTree
from pipeline.upkeep.verify.files import Run
from pipeline.upkeep.verify.output import check_projection
from pipeline.upkeep.verify.rows import Book, value_problems
from tests.catalogue.export.samples import galaxies

PLACES: list[tuple[str, float | None, float | None]] = [(f"g{row}", 1.0, 2.0) for row in range(5)]


def plan(**settings: str) -> Plan:
    return make_plan([PlannedShard(uri="a", size=1, etag="e", rows=5)], 5, settings)


@pytest.mark.parametrize("value", [None, b"", b"x" * 63, b"x" * 128])
def test_a_vector_of_another_length_is_a_problem(value: bytes | None, tree: DecisionTree) -> None:
    rows = galaxies(tree, PLACES, embedding=True)
    sound = [p.expected for p in _embedding_problems(tree, rows)]
    vectors = rows["embedding"].to_pylist()
    vectors[3] = value
    place = rows.schema.get_field_index("embedding")
    (problem,) = _embedding_problems(
        tree, rows.set_column(place, "embedding", pa.array(vectors, pa.binary()))
    )
    assert sound == []
    assert problem.expected == "an embedding of 64 bytes"
    assert problem.rows.tolist() == [False, False, False, True, False]
    assert problem.actual(3) == f"{len(value or b'')} bytes"


def _embedding_problems(tree: DecisionTree, rows: pa.Table) -> list:
    p = answer_matrix(tree, rows)
    problems = value_problems(tree, rows, p, averaged=True)
    return [problem for problem in problems if "embedding" in problem.expected and problem.rows.any()]


def test_the_table_names_the_projection_of_its_run(tree: DecisionTree, tmp_path: Path) -> None:
    own = plan(embedding="a" * 64)
    schema = planned_schema(tree, own)
    assert schema.names == catalogue_schema(tree, embedding=True).names
    findings = {}
    for name, columns in {
        "own": schema,
        "another": with_projection(schema, "b" * 64),
        "none": catalogue_schema(tree, embedding=True),
    }.items():
        run = Run(RunLayout(str(tmp_path), own.run), own, tree, {}, Book(own), True, columns)
        findings[name] = [str(finding) for finding in check_projection(run)]
    assert findings["own"] == []
    assert "expected projection aaaaaaaaaaaa… as planned, found bbbbbbbbbbbb" in findings["another"][0]
    assert "as planned, found none" in findings["none"][0]


def test_a_run_without_embeddings_has_the_columns_that_it_always_had(tree: DecisionTree) -> None:
    assert plan().embedding is None
    assert planned_schema(tree, plan()) == catalogue_schema(tree)
    assert "embedding" not in plan().fingerprint
