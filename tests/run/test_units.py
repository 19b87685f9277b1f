"""How a set is cut into work units."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.protocol import Plan, PlannedShard, RunLayout, make_plan
from pipeline.run.planning import rows_of_a_unit
from pipeline.run.run import Run
from pipeline.run.settings import StreamConfig, titled_as_before
from pipeline.storage import write_bytes
from pipeline.streaming.reading import open_inventory
from pipeline.tree import load_tree


def run_of(output: Path, **given: int) -> Run[StreamConfig]:
    config = StreamConfig.model_validate(
        {"input": str(output), "output": str(output), "decoder": "cpu", "precision": "float32", **given}
    )
    return Run(config, load_tree(), check_model(DEFAULT_WEIGHTS, load_tree()), open_inventory())


def shards(rows: int) -> list[PlannedShard]:
    return [PlannedShard(uri="a", size=1000 * rows, etag="e", rows=rows)]


@pytest.mark.parametrize(
    ("rows", "unit_rows"), [(10, 16), (200, 25), (2000, 250), (2048, 256), (90_000, 256)]
)
def test_a_small_set_has_units_enough_to_show_progress(rows: int, unit_rows: int, tmp_path: Path) -> None:
    assert rows_of_a_unit(run_of(tmp_path), shards(rows)) == unit_rows
    assert rows_of_a_unit(run_of(tmp_path, unit_rows=100), shards(rows)) == 100


def planned(output: Path, unit_rows: int) -> Plan:
    plan = make_plan(shards(200), unit_rows, {})
    write_bytes(RunLayout(str(output), plan.run).plan, plan.model_dump_json().encode())
    return plan


def test_an_output_keeps_to_the_units_that_it_has(tmp_path: Path) -> None:
    """So that what an earlier version began is continued."""
    planned(tmp_path, 256)
    assert rows_of_a_unit(run_of(tmp_path), shards(200)) == 256


def test_a_refresh_keeps_the_title(tmp_path: Path) -> None:
    config = run_of(tmp_path).config
    assert titled_as_before(config).title == "Galaxy morphology"
    layout = RunLayout(str(tmp_path), planned(tmp_path, 256).run)
    write_bytes(f"{layout.folder}/config.yaml", b"title: 'My survey: north'\n")
    assert titled_as_before(config).title == "My survey: north"
    own = StreamConfig(input="a", output=str(tmp_path), title="Galaxy morphology")
    assert titled_as_before(own).title == "Galaxy morphology"
