"""Rows that say how sure their answers are, from the model stage to the check of a catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalogue import answer_matrix, catalogue_schema
from pipeline.confidence.document import Confidence, read_confidence
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming.decode import decode_unit
from pipeline.streaming.model import ModelActor
from pipeline.streaming.sink import write_unit
from pipeline.tree import GALAXY_ZOO_2, load_tree
from pipeline.upkeep.verify.rows import value_problems

TREE = load_tree()


@pytest.fixture(scope="module")
def confidence() -> Confidence:
    return read_confidence(DEFAULT_WEIGHTS, check_model(DEFAULT_WEIGHTS, TREE))


@pytest.fixture(scope="module")
def rows(confidence: Confidence, hubble_shard: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """What the sink writes of five Hubble galaxies."""
    decoded = decode_unit(WorkUnit(0, str(hubble_shard), 0, 5))
    model = ModelActor(
        DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), 1, "float32", 1, familiarity=confidence.familiarity
    )
    layout = RunLayout(str(tmp_path_factory.mktemp("uncertainty")), "run")
    write_unit(model(decoded), layout, TREE, "w" * 64, confidence.concentrations)
    part = read_ledger(layout)[0].part
    assert part is not None
    return pq.read_table(f"{layout.parts}/{part.name}")


def problems(rows: pa.Table) -> list[str]:
    """What a check of the catalogue says of rows."""
    return [
        problem.expected
        for problem in value_problems(TREE, rows, answer_matrix(TREE, rows), averaged=False)
        if problem.rows.any()
    ]


def test_rows_have_bounds_and_distances(rows: pa.Table) -> None:
    assert rows.schema.names == catalogue_schema(TREE, uncertainty=True).names
    assert set(catalogue_schema(TREE).names) < set(rows.schema.names)
    assert problems(rows) == []


def test_hubbles_pictures_are_out_of_place(rows: pa.Table) -> None:
    assert (rows["out_of_place"].to_numpy() > 1).all()


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("bar_yes_low", 1.0, "bar_yes between its bounds"),
        ("bar_no_high", np.nan, "bar_no between its bounds"),
        ("bar_volunteers", -1.0, "a finite bar_volunteers from 0"),
        ("out_of_place", np.inf, "a finite out_of_place from 0"),
    ],
)
def test_a_value_that_cant_be_is_noticed(rows: pa.Table, column: str, value: float, problem: str) -> None:
    values = rows[column].to_numpy().copy()
    values[2] = value
    field = rows.schema.get_field_index(column)
    assert problems(rows.set_column(field, rows.schema.field(field), pa.array(values, pa.float32()))) == [
        problem
    ]
