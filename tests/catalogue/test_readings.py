"""What follows from a row's probabilities, and catalogues of before there was a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.catalogue import answer_matrix, catalogue_schema, changed_readings, changed_settings
from pipeline.catalogue.classes import read_classes
from pipeline.catalogue.export import export_snapshot, open_snapshot
from pipeline.catalogue.rows import readings
from pipeline.catalogue.schema import reading_columns
from pipeline.cutouts import read_ids
from pipeline.errors import InputError
from pipeline.protocol import Plan, RunLayout, catalogue_uri, make_plan
from pipeline.protocol.fingerprint import COMPLETED
from pipeline.tree import DecisionTree, is_asked
from pipeline.upkeep import verify_output
from tests.support.catalogues import TREE, consistent, random_probabilities, saying
from tests.support.outputs import commit, make_output, of_schema_1
from tests.support.steps import adopt_plan
from tests.support.tables import snapshot

ARMS = "spiral_arm_count_answer"


def test_a_smooth_galaxy_has_no_count_of_spiral_arms() -> None:
    found = readings(TREE, np.array([saying(smooth_or_featured="smooth")], np.float32))
    assert found["class"].to_pylist() == ["Round elliptical"]
    assert found["class_confidence"][0].as_py() == pytest.approx(0.81, rel=1e-5)
    assert found["how_rounded_answer"].to_pylist() == ["round"]
    assert found[ARMS].to_pylist() == [None]
    assert found["spiral_arm_count_agreement"].null_count == 0


def test_an_answer_stands_where_half_of_the_volunteers_are_asked() -> None:
    p = random_probabilities(200).astype(np.float32)
    found = readings(TREE, p)
    assert list(found) == reading_columns(TREE)
    for question in TREE.questions:
        asked = p[:, TREE.slices[question.key]].sum(axis=1) >= 0.5
        assert found[f"{question.key}_answer"].is_valid().to_pylist() == asked.tolist()
    undecided = consistent(TREE, np.ones((1, TREE.answer_count)))
    assert readings(TREE, undecided.astype(np.float32))["smooth_or_featured_answer"].null_count == 0


def test_a_path_to_no_class_has_neither_class_nor_confidence() -> None:
    found = readings(TREE, np.zeros((1, TREE.answer_count), np.float32))
    assert [column.null_count for column in found.values()] == [1] * len(found)


@pytest.fixture
def older(tmp_path: Path, tree: DecisionTree) -> tuple[RunLayout, Plan]:
    return make_output(tmp_path, tree, schema="1")


def refreshed(layout: RunLayout, plan: Plan, tree: DecisionTree) -> RunLayout:
    """The output after a refresh whose source has not changed."""
    carried = [shard.model_copy(update={"selected": (), "carried": True}) for shard in plan.shards]
    settings = {name: plan.fingerprint[name] for name in ("weights", "transforms", "tree")}
    later = adopt_plan(layout.output, make_plan(carried, plan.unit_rows, settings, plan.run, 1), new_run=True)
    commit(RunLayout(layout.output, later.run), tree, later, epoch=2)
    return RunLayout(layout.output, later.run)


def findings(layout: RunLayout, tree: DecisionTree) -> list[str]:
    return [str(found) for found in verify_output(layout.output, tree, read_ids)]


def test_a_catalogue_of_schema_1_is_read_verified_and_exported_as_it_is(
    older: tuple[RunLayout, Plan], tree: DecisionTree, tmp_path: Path
) -> None:
    layout, _ = older
    rows = snapshot(catalogue_uri(layout.output))
    assert rows.schema.names == catalogue_schema(tree, classes=False).names
    assert rows.equals(of_schema_1(tree, rows))
    assert findings(layout, tree) == []
    seen = open_snapshot(catalogue_uri(layout.output), tree)
    assert (
        seen.schema.field(ARMS).metadata[b"description"]
        == b"Most probable answer to 'How many spiral arms are there?'"
    )
    assert export_snapshot(seen, str(tmp_path / "old.csv"), tree, "csv").rows == len(rows)
    assert len(read_classes(tree, rows).classes) == len(rows)


def test_a_refresh_completes_it_from_its_probabilities(
    older: tuple[RunLayout, Plan], tree: DecisionTree
) -> None:
    layout, plan = older
    before = snapshot(catalogue_uri(layout.output))
    later = refreshed(layout, plan, tree)
    after = snapshot(catalogue_uri(layout.output))
    assert after.schema.names == catalogue_schema(tree).names
    others = [name for name in before.column_names if name not in reading_columns(tree)]
    assert after.select(others).equals(before.select(others))
    assert set(after["run"].to_pylist()) == {plan.run}
    matrix = answer_matrix(tree, after)
    made = readings(tree, matrix)
    assert all(after[name].combine_chunks().equals(made[name]) for name in made)
    enough = is_asked(matrix[:, tree.slices["spiral_arm_count"]])
    assert 0 < after[ARMS].null_count == len(after) - enough.sum() > before[ARMS].null_count
    assert findings(later, tree) == []
    seen = open_snapshot(catalogue_uri(layout.output), tree)
    assert b"null where fewer than 50%" in seen.schema.field(ARMS).metadata[b"description"]


def test_the_older_schema_is_no_reason_to_classify_anew(plan: Plan) -> None:
    before = plan.model_copy(update={"fingerprint": plan.fingerprint | {"schema": "1"}})
    assert "1" in COMPLETED
    assert changed_settings(before, plan.fingerprint) == []
    assert changed_readings(before, plan.fingerprint) == ["schema (was 1, is 2)"]
    strange = plan.model_copy(update={"fingerprint": plan.fingerprint | {"schema": "0"}})
    assert changed_settings(strange, plan.fingerprint) == ["schema (was 0, is 2)"]
    renamed = plan.fingerprint | {"classes": "other names"}
    assert changed_settings(plan, renamed) == []
    assert changed_readings(plan, renamed) == ["classes (was none, is other names)"]


def test_who_classifies_again_is_told_of_the_refresh(older: tuple[RunLayout, Plan]) -> None:
    layout, plan = older
    now = plan.fingerprint | {"schema": "2"}
    draft = make_plan(plan.shards, plan.unit_rows, now)
    with pytest.raises(
        InputError, match=r"schema \(was 1, is 2\).*`tuningfork refresh`.* classifies nothing anew"
    ):
        adopt_plan(layout.output, draft)


def test_a_wrong_class_is_found(tmp_path: Path, tree: DecisionTree) -> None:
    from pipeline.upkeep.verify.rows import value_problems

    layout, _ = make_output(tmp_path, tree)
    rows = snapshot(catalogue_uri(layout.output))
    for name, value in (("class", "Spiral galaxy"), ("class_confidence", 2.0), (ARMS, "2")):
        place = rows.schema.get_field_index(name)
        wrong = rows.set_column(
            place, rows.schema.field(place), pa.array([value] * len(rows), rows.schema.field(place).type)
        )
        found = [
            p.expected for p in value_problems(tree, wrong, answer_matrix(tree, wrong), False) if p.rows.any()
        ]
        assert found == [f"{name} as the probabilities say"]
