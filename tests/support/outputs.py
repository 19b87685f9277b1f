"""Real outputs in small: input shards, parts, ledger, quarantine and Delta table, made without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue import answer_matrix, catalogue_rows, catalogue_schema, tree_digest
from pipeline.catalogue.seal import seal
from pipeline.cutouts import duplicate_rows, list_shards, read_ids
from pipeline.protocol import Plan, PlannedShard, RunLayout, WorkUnit, make_plan
from pipeline.protocol.fingerprint import SCHEMA_VERSION
from pipeline.protocol.records import QUARANTINE_SCHEMA, read_ledger, record_unit, summarize
from pipeline.tree import DecisionTree
from tests.support.steps import adopt_plan, commit_run

WEIGHTS = "w" * 64
IDS: tuple[list[str | None], list[str | None]] = (
    [f"g{row:02d}" for row in range(12)],
    [None, *(f"h{row:02d}" for row in range(1, 12)), "g03"],
)
"""Of two shards; the second has a row without id and one that repeats another's."""

BAD_ROWS = {
    ("a", 4): "truncated",
    ("a", 11): "grey",
    ("b", 0): "no_object_id",
    ("b", 12): "duplicate_object_id",
}
"""Rows that are quarantined, by the shard's stem: 4 of 25."""


def obedient(tree: DecisionTree, rows: int, seed: int) -> NDArray[np.float32]:
    """Random probabilities that obey the tree; a question here and there is all zero."""
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.dirichlet(np.ones(len(q.answers)), rows) for q in tree.questions], axis=1)
    for key, gate in tree.gates.items():
        answered = rng.random(rows) < 0.9
        p[:, tree.slices[key]] *= (p[:, list(gate)].sum(axis=1) * answered)[:, None]
    return p.astype(np.float32)


def plan_run(folder: Path, tree: DecisionTree, schema: str = str(SCHEMA_VERSION)) -> tuple[RunLayout, Plan]:
    """Write the input shards and the plan: 25 rows in units of 10, 2, 10 and 3."""
    cutouts = folder / "cutouts"
    cutouts.mkdir(parents=True, exist_ok=True)
    for stem, ids in zip("ab", IDS, strict=True):
        if not (cutouts / f"{stem}.parquet").exists():
            table = pa.table({"object_id": pa.array(ids, pa.string()), "image": [b"image"] * len(ids)})
            pq.write_table(table, cutouts / f"{stem}.parquet", compression="none")
    shards = list_shards(str(cutouts))
    repeated = duplicate_rows([read_ids(shard.uri) for shard in shards])
    planned = [
        PlannedShard(uri=shard.uri, size=shard.size, etag=shard.etag, rows=shard.rows, duplicates=rows)
        for shard, rows in zip(shards, repeated, strict=True)
    ]
    settings = {
        "weights": WEIGHTS,
        "transforms": "1",
        "tree": tree_digest(tree),
        "schema": schema,
    }
    plan = make_plan(planned, 10, settings)
    output = str(folder / "out")
    plan = adopt_plan(output, plan)
    return RunLayout(output, plan.run), plan


def of_schema_1(tree: DecisionTree, rows: pa.Table) -> pa.Table:
    """Rows as they were before they had a class: with an answer wherever a question has any probability."""
    matrix = answer_matrix(tree, rows)
    for question in tree.questions:
        p = matrix[:, tree.slices[question.key]]
        keys = np.array([answer.key for answer in question.answers])[p.argmax(axis=1)]
        place = rows.schema.get_field_index(f"{question.key}_answer")
        rows = rows.set_column(place, rows.schema.field(place), pa.array(keys, mask=p.sum(axis=1) == 0))
    schema = catalogue_schema(tree, classes=False)
    return rows.select(schema.names).cast(schema)


def record(
    layout: RunLayout, tree: DecisionTree, unit: WorkUnit, seed: int = 0, classes: bool = True
) -> None:
    """Make a unit durable, its bad rows quarantined."""
    ids = IDS["ab".index(Path(unit.shard).stem)]
    places = [(Path(unit.shard).stem, row) for row in range(unit.start, unit.stop)]
    good = [row for stem, row in places if (stem, row) not in BAD_ROWS]
    bad = [(row, BAD_ROWS[stem, row]) for stem, row in places if (stem, row) in BAD_ROWS]
    positions = pa.table(
        {
            "object_id": pa.array([ids[row] for row in good], pa.string()),
            "ra": pa.array([row / 10 for row in good], pa.float64()),
            "dec": pa.nulls(len(good), pa.float64()),
            "content": [f"{row:032x}" for row in good],
        }
    )
    inputs = [f"{unit.shard}#{row}" for row in good]
    rows = catalogue_rows(
        tree, positions, obedient(tree, len(good), seed + unit.index), layout.run, WEIGHTS, inputs
    )
    rejects = pa.Table.from_pylist(
        [
            {
                "object_id": ids[row],
                "shard": unit.shard,
                "row": row,
                "reason": reason,
                "message": f"is {reason}",
            }
            for row, reason in bad
        ],
        schema=QUARANTINE_SCHEMA,
    )
    rows = rows if classes else of_schema_1(tree, rows)
    record_unit(layout, unit, rows, rejects, {"decode": 0.25, "model": 0.5})


def commit(layout: RunLayout, tree: DecisionTree, plan: Plan, epoch: int = 1) -> None:
    """Commit and write the sealed summary, as `classify` does."""
    ledger = read_ledger(layout)
    commit_run(layout, tree, plan, ledger, epoch, read_ids)
    summary = seal(layout, summarize(plan, ledger, 3.0))
    storage.write_bytes(layout.summary, summary.model_dump_json(indent=1).encode())


def make_output(
    folder: Path, tree: DecisionTree, seed: int = 0, schema: str = str(SCHEMA_VERSION)
) -> tuple[RunLayout, Plan]:
    """A committed run of 25 rows: 21 classified, 4 quarantined, 4 units."""
    layout, plan = plan_run(folder, tree, schema)
    for unit in plan.units():
        record(layout, tree, unit, seed, plan.classes)
    commit(layout, tree, plan)
    return layout, plan


def rerun(folder: Path, plan: Plan) -> tuple[RunLayout, Plan]:
    """A second run of the same plan, planned but with no unit done."""
    output = str(folder / "out")
    later = plan.model_copy(update={"created": "2099-01-01T00:00:00+00:00"})
    second = adopt_plan(output, later, new_run=True)
    return RunLayout(output, second.run), second
