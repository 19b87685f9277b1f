"""What MLflow keeps of trainings and runs, in a store of its own; and that its trouble is nobody else's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deltalake import DeltaTable

from jobs import train
from pipeline import lineage, tracking
from pipeline.network import DEFAULT_WEIGHTS, read_card
from pipeline.training.weights import TrainConfig
from pipeline.tree import DecisionTree
from tests.support.collector import collecting
from tests.support.command import tuningfork_here
from tests.support.galaxies import galaxy, png
from tests.training.small import write_training

FILES = "MLFLOW_ALLOW_FILE_STORE"
"""What MLflow asks for, to keep its records in a folder."""


@pytest.fixture(autouse=True)
def nothing_went_wrong_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.MLFLOW, "failed", False)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = (tmp_path / "mlflow").as_uri()
    monkeypatch.setenv(tracking.TRACKING, uri)
    monkeypatch.setenv(FILES, "true")
    return uri


@pytest.fixture
def config(tmp_path: Path, tree: DecisionTree) -> TrainConfig:
    words = write_training(tmp_path, tree, examples=64)[1:]
    values = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in words)}
    return TrainConfig.model_validate(values | {"output": str(tmp_path / "weights")})


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that OpenLineage's own transport appends to."""
    transport = {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True}
    (tmp_path / "openlineage.yml").write_text(yaml.safe_dump({"transport": transport}))
    monkeypatch.setenv(lineage.CONFIG, str(tmp_path / "openlineage.yml"))
    monkeypatch.setattr(lineage.OPENLINEAGE, "failed", False)
    return tmp_path / "events"


def runs_in(store: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("tuningfork")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def steps_of(store: str, run: Any, metric: str = "loss") -> dict[int, float]:
    from mlflow import MlflowClient

    history = MlflowClient(store).get_metric_history(run.info.run_id, metric)
    steps = {one.step: one.value for one in history}
    assert len(steps) == len(history)
    return steps


def test_a_training_is_recorded_with_its_log_and_its_score(
    config: TrainConfig, store: str, events: Path
) -> None:
    from mlflow import MlflowClient

    train.run(config)
    (run,) = runs_in(store)
    assert run.info.run_name == "small"
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.batch_size"] == "8"
    assert run.data.params["data"] == config.data
    folder = Path(config.output) / "small.run"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps_of(store, run) == {line["seen"]: line["loss"] for line in lines}
    card = json.loads((Path(config.output) / "small.json").read_text())
    assert run.data.metrics["rmse_60_transforms"] == card["score"]["rmse_60_transforms"]
    MlflowClient(store).update_run(run.info.run_id, status="RUNNING")  # as one that was killed leaves it
    train.run(config)
    (run,) = runs_in(store)
    assert run.info.status == "FINISHED"

    start, end = [json.loads(line) for line in events.read_text().splitlines()]
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    weights = str(Path(config.output) / "small.safetensors")
    assert start["job"]["name"] == f"train:{weights}"
    assert [one["name"] for one in start["inputs"]] == [config.data]
    (written,) = end["outputs"]
    assert (written["name"], written["facets"]["version"]["datasetVersion"]) == (weights, card["sha256"])


def test_a_score_that_was_finished_later_is_recorded_once(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "galaxies.run")
    tracking.record_end(folder, {"rmse": 0.3})
    assert runs_in(store) == []

    def stopped() -> None:
        with tracking.recorded_training(folder, {}):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    for rmse in (0.1, 0.2):
        tracking.record_end(folder, {"rmse": rmse})
        (run,) = runs_in(store)
        assert (run.info.status, run.data.metrics["rmse"]) == ("FINISHED", 0.1)


def test_a_training_that_was_stopped_goes_on_in_the_same_run(tmp_path: Path, store: str) -> None:
    folder = str(tmp_path / "galaxies.run")
    rows = [{"seen": seen, "time": 1e9 + seen, "loss": 1 / seen} for seen in (16, 32, 48)]

    def stopped() -> None:
        with tracking.recorded_training(folder, {"batch": {"size": 8}}):
            tracking.record_rows(folder, rows[:1])
            tracking.record_rows(folder, rows[:2])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    (run,) = runs_in(store)
    assert run.info.status == "KILLED"
    with tracking.recorded_training(folder, {"batch": {"size": 8}}) as results:
        assert runs_in(store)[0].info.status == "RUNNING"
        tracking.record_rows(folder, rows)
        results |= {"rmse": 0.1, "held_out": ["a", "b"]}
    (run,) = runs_in(store)
    assert (run.info.status, run.data.params) == ("FINISHED", {"batch.size": "8"})
    assert steps_of(store, run) == {16: 1 / 16, 32: 1 / 32, 48: 1 / 48}
    assert run.data.metrics["rmse"] == 0.1


def test_a_run_over_a_survey_is_recorded_and_its_lineage_told(tmp_path: Path, store: str) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(png(galaxy(number, 120)))
    (tmp_path / "pictures" / "bad.png").write_bytes(b"no picture")
    with collecting() as collector:
        done = tuningfork_here(
            *("classify", "input=pictures", "output=out", "transforms=1"),
            cwd=tmp_path,
            environment={tracking.TRACKING: store, FILES: "true", lineage.URL: collector.url},
        )
    assert done.returncode == 0, done.stderr
    assert "MLflow" not in done.stdout
    assert "OpenLineage" not in done.stdout
    (run,) = runs_in(store)
    assert run.info.run_name in done.stdout
    assert run.info.status == "FINISHED"
    counts = {name: run.data.metrics[name] for name in ("rows", "classified", "quarantined")}
    assert counts == {"rows": 4, "classified": 3, "quarantined": 1}
    assert run.data.metrics["quarantined.not_an_image"] == 1
    assert run.data.params["transforms"] == "1"
    assert run.data.tags["output"] == str(tmp_path / "out")

    start, end = collector.events
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    pictures, weights = end["inputs"]
    assert (pictures["namespace"], pictures["name"]) == ("file", str(tmp_path / "pictures"))
    assert weights["facets"]["version"]["datasetVersion"] == read_card(DEFAULT_WEIGHTS).sha256
    (catalogue,) = end["outputs"]
    assert catalogue["name"] == str(tmp_path / "out" / "catalogue")
    version = DeltaTable(str(tmp_path / "out" / "catalogue")).version()
    assert catalogue["facets"]["version"]["datasetVersion"] == str(version)
    assert catalogue["outputFacets"]["outputStatistics"]["rowCount"] == 3


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://me:secret@127.0.0.1:9", "127.0.0.1"),
        ("nonsense://here", "nonsense"),
        ("file:///proc/no/such/folder", "proc"),
    ],
)
def test_trouble_with_it_is_said_once_and_ends_nothing(
    uri: str,
    reason: str,
    config: TrainConfig,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(tracking.TRACKING, uri)
    train.run(config)
    assert (Path(config.output) / "small.safetensors").exists()
    said = [line for line in capsys.readouterr().out.splitlines() if "MLflow" in line]
    assert len(said) == 1
    assert reason in said[0]
    assert "secret" not in said[0]


def test_where_it_is_not_installed_the_extra_is_named(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with tracking.recorded_training(str(tmp_path / "a.run"), {}):
        pass
    assert 'pip install "tuningfork[mlflow]"' in capsys.readouterr().out


def test_nothing_is_recorded_where_none_is_named(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(tracking.TRACKING)
    with tracking.recorded_training(str(tmp_path / "a.run"), {}):
        tracking.record_run("a", {}, {}, {}, 1.0)
    assert runs_in(store) == []
    assert capsys.readouterr().out == ""
