"""The verbs verify, status and vacuum as their users run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.protocol.records import read_plans
from pipeline.run.changes import report_changes
from pipeline.run.run import prepare
from pipeline.run.settings import StreamConfig
from pipeline.storage import connection
from pipeline.tree import DecisionTree
from pipeline.upkeep import Recount
from pipeline.upkeep.verify.verdict import verdict
from tests.support.damage import Made, clean_up_log, edit_json, flip_bit, truncate
from tests.support.galaxies import galaxy, png
from tests.support.outputs import commit, make_output, plan_run, record, rerun
from tests.support.steps import adopt_plan


@pytest.fixture
def made(tmp_path: Path, tree: DecisionTree) -> Made:
    layout, plan = make_output(tmp_path, tree)
    return Made(tmp_path, layout, plan, tree)


def run(capsys: pytest.CaptureFixture[str], verb: str, made: Made, *words: str) -> tuple[int, list[str]]:
    with pytest.raises(SystemExit) as stop:
        main([verb, made.layout.output, *words])
    out, err = capsys.readouterr()
    assert err == ""
    return int(str(stop.value.code or 0)), out.splitlines()


def leave_orphan(made: Made) -> Path:
    path = Path(made.layout.parts) / "00000001-0123abcd.parquet"
    path.write_bytes(b"0" * 1_300_000)
    os.utime(path, (time.time() - 48 * 3600,) * 2)
    return path


def test_verify_says_that_all_is_well(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    status, lines = run(capsys, "verify", made)
    assert status == 0
    assert lines == ["verify: clean: 25 input rows = 21 classified + 4 quarantined, 4 units, 1 file"]


def test_verify_tells_each_finding_on_a_line(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    flip_bit(made.part(3))
    made.part(1).unlink()
    status, lines = run(capsys, "verify", made)
    assert status == 1
    assert [line.partition(":")[0] for line in lines] == ["FINDING unit 1", "FINDING unit 3", "verify"]
    assert lines[-1] == "verify: 2 findings"


def test_verify_tells_of_orphans_and_vacuum_removes_them(
    capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    orphan = leave_orphan(made)
    status, lines = run(capsys, "verify", made)
    assert status == 0
    assert lines[-1].endswith("1 file; 1 orphan, 1.3 MB: `tuningfork vacuum` removes them")
    assert run(capsys, "vacuum", made, "grace=7d") == (0, ["vacuum: removed 0 files, 0 bytes"])
    status, lines = run(capsys, "vacuum", made, "--dry-run")
    assert orphan.exists()
    assert lines[-1] == "vacuum: would remove 1 file, 1,300,000 bytes; nothing was removed"
    status, lines = run(capsys, "vacuum", made)
    assert not orphan.exists()
    assert lines == [
        f"run {made.plan.run}: 1 file, 1,300,000 bytes, orphans: parts that no ledger entry names ({orphan})",
        "vacuum: removed 1 file, 1,300,000 bytes",
    ]


def test_a_run_that_was_moved_and_linked_is_the_same_run(
    capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path
) -> None:
    folder = Path(made.layout.folder)
    shutil.move(folder, tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert read_plans(made.layout.output) == [made.plan]
    assert adopt_plan(made.layout.output, made.plan) == made.plan
    assert run(capsys, "verify", made)[0] == 0
    assert run(capsys, "status", made)[0] == 0
    assert run(capsys, "vacuum", made)[0] == 0


def test_a_version_that_the_log_forgot_costs_a_refresh_only_its_page_of_changes(
    capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path
) -> None:
    clean_up_log(made)
    layout, plan = rerun(made.folder, made.plan)
    for unit in plan.units():
        record(layout, made.tree, unit, seed=7)
    commit(layout, made.tree, plan)
    (tmp_path / "galaxy.png").write_bytes(png(galaxy(1, 64)))
    config = StreamConfig(input=str(tmp_path), output=made.layout.output)
    report_changes(prepare(config), plan.model_copy(update={"kept": 1}))
    assert f"No report of what run {plan.run} changed: " in capsys.readouterr().out


def test_verify_without_parts_says_so(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    assert run(capsys, "vacuum", made, "parts=true")[0] == 0
    status, lines = run(capsys, "verify", made)
    assert status == 0
    assert "; the run's parts were removed by `tuningfork vacuum`" in lines[-1]


def test_a_torn_plan_is_a_finding(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    truncate(Path(made.layout.plan))
    status, lines = run(capsys, "verify", made)
    assert (status, lines[-1]) == (1, "verify: 1 finding")


def test_a_store_that_is_away_is_not_a_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    connection._s3_filesystem.cache_clear()
    with pytest.raises(SystemExit) as stop:
        main(["verify", "s3://bucket/out"])
    connection._s3_filesystem.cache_clear()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert "no connection to http://127.0.0.1:9" in err


def test_another_tree_is_refused(capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path) -> None:
    tree = tmp_path / "tree.yaml"
    source = Path(__file__).resolve().parents[2] / "configs" / "trees" / "galaxy_zoo_2.yaml"
    shutil.copy(source, tree)
    tree.write_text(tree.read_text().replace("name: galaxy_zoo_2", "name: mine"))
    with pytest.raises(SystemExit) as stop:
        main(["verify", made.layout.output, f"tree={tree}"])
    assert stop.value.code == 2
    assert "answered another decision tree" in capsys.readouterr().err


def test_a_tree_that_an_edited_plan_names_is_a_finding(
    capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    edit_json(Path(made.layout.plan), lambda plan: plan["fingerprint"].update(tree="another"))
    with pytest.raises(SystemExit) as stop:
        main(["verify", made.layout.output])
    assert stop.value.code == 1
    assert "FINDING plan: " in capsys.readouterr().out


def test_a_torn_survey_file_is_a_finding(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    Path(made.layout.survey).write_text("name: [torn")
    with pytest.raises(SystemExit) as stop:
        main(["verify", made.layout.output])
    assert stop.value.code == 1
    assert "FINDING survey file: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recount", "findings", "expected"),
    [
        (Recount(), 1, "1 finding"),
        (Recount(), 2000, "2,000 findings"),
        (
            Recount(rows=4000, classified=3991, quarantined=9, units=16, files=1),
            0,
            "clean: 4,000 input rows = 3,991 classified + 9 quarantined, 16 units, 1 file",
        ),
        (
            Recount(rows=10, classified=10, units=1, files=1, sealed=False),
            0,
            "clean: 10 input rows = 10 classified + 0 quarantined, 1 unit, 1 file; made by a version that "
            "sealed nothing: what no count and no part tells would go unseen, until the next run seals it",
        ),
    ],
)
def test_verdicts(recount: Recount, findings: int, expected: str) -> None:
    assert verdict(recount, findings) == expected


def test_status_of_a_run_that_is_going(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tree: DecisionTree
) -> None:
    layout, plan = plan_run(tmp_path, tree)
    record(layout, tree, next(plan.units()))
    status, lines = run(capsys, "status", Made(tmp_path, layout, plan, tree))
    assert status == 0
    told = {line[:13].strip(): line[13:].strip() for line in lines}
    assert told["state"] == "not committed"
    assert told["units"] == "1 of 4 done, 3 pending"
    assert told["galaxies"] == "9 classified of 25"
    assert told["quarantined"] == "1 (1 truncated)"
    assert told["rate"] == "13.3 galaxies/s since the last pause"
    assert told["time left"] == "0:00:01"
    assert len({re.search(r"\S", line[13:]).start() for line in lines}) == 1  # type: ignore[union-attr]


def test_status_for_scripts(capsys: pytest.CaptureFixture[str], made: Made) -> None:
    status, lines = run(capsys, "status", made, "--json")
    (found,) = json.loads("\n".join(lines))
    assert status == 0
    assert (found["run"], found["committed"], found["done"]) == (made.plan.run, True, 4)
    assert sum(found["quarantined"].values()) == 4
