"""The verb train on a handful of galaxies: what it holds out and scores, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from jobs import train
from jobs.cli import main
from pipeline.config import CONFIGS
from pipeline.errors import InputError
from pipeline.network import check_model, load_network, read_card, write_card
from pipeline.network.seen import read_seen
from pipeline.training import Cut, evaluate, fastest_precision, load_galaxies, read_labels
from pipeline.training.identity import as_begun
from pipeline.training.labels import LABELS_FILE
from pipeline.training.weights import TrainConfig, held_out_count, recipe_of, run_settings
from pipeline.tree import DecisionTree, load_tree
from tests.training.small import SPEC, write_training


@pytest.fixture
def config(tmp_path: Path, tree: DecisionTree) -> TrainConfig:
    """Twenty-four galaxies, of which six are held out."""
    words = write_training(tmp_path, tree, examples=32)[1:]
    values = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in words)}
    return TrainConfig.model_validate(values | {"output": str(tmp_path / "weights")})


def changed(config: TrainConfig, **changes: object) -> TrainConfig:
    return config.model_copy(update=changes)


def test_it_trains_scores_and_says_when_there_is_nothing_to_do(
    config: TrainConfig, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(config)
    weights = f"{config.output}/small.safetensors"
    network, card = load_network(weights, tree)
    assert card.data["galaxies"] == 18
    assert card.score["held_out_galaxies"] == [str(galaxy) for galaxy in range(118, 124)]
    held_out = load_galaxies(read_labels(config.data, tree)[18:], Cut(300.0))
    assert card.score["rmse_single"] == round(evaluate(network, held_out)["rmse"], 4)
    assert "is complete" not in capsys.readouterr().out
    before = Path(weights).read_bytes()
    train.run(config)
    assert "is complete: RMSE 0." in capsys.readouterr().out
    assert Path(weights).read_bytes() == before


def test_weights_whose_training_was_killed_before_they_were_scored_are_scored(config: TrainConfig) -> None:
    train.run(config)
    weights = f"{config.output}/small.safetensors"
    card = read_card(weights)
    write_card(weights, card.model_copy(update={"score": {}}))
    train.run(config)
    assert read_card(weights) == card


@pytest.mark.parametrize(("galaxies", "share", "held_out"), [(61_578, 0.1, 6157), (500, 0.2, 100), (3, 0, 0)])
def test_the_last_tenth_of_the_challenge_is_that_of_the_paper(
    galaxies: int, share: float, held_out: int
) -> None:
    assert held_out_count(galaxies, share) == held_out


def test_the_precision_is_the_machine_s_and_stays_that_of_the_beginning(
    config: TrainConfig, tmp_path: Path, tree: DecisionTree
) -> None:
    recipe = Path(config.recipe)
    values = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(values | {"precision": "auto", "examples": 8}))
    train.run(config)
    card = read_card(f"{config.output}/small.safetensors")
    begun = recipe_of(config).model_copy(update={"precision": fastest_precision()})
    assert card.recipe["precision"] == begun.precision
    # Where the folder's training computes otherwise, as one of another machine, it stays so.
    record = tmp_path / "weights" / "small.run" / "run.json"
    assert json.loads(record.read_text())["recipe"] == begun.model_dump(mode="json")
    record.write_text(record.read_text().replace(begun.precision, "bfloat16"))
    assert as_begun(str(record.parent), recipe_of(config)).precision == "bfloat16"


def test_long_trainings_are_logged_scored_and_kept_more_seldom(config: TrainConfig) -> None:
    for examples, rhythm in ((100_000, (1_000, 10_000)), (25_000_000, (25_000, 1_250_000))):
        recipe = recipe_of(changed(config, examples=examples))
        settings = run_settings(config, recipe, "folder")
        assert (settings.log_every, settings.evaluate_every) == (16, rhythm[1])
        assert run_settings(changed(config, log_every=None), recipe, "folder").log_every == rhythm[0]
        assert settings.checkpoint_every == rhythm[1]
        assert settings.checkpoint_seconds == 600


def test_weights_that_were_trained_otherwise_are_kept(config: TrainConfig) -> None:
    train.run(config)
    with pytest.raises(InputError, match="exists already, trained otherwise; name another output"):
        train.run(changed(config, seed=1))


def test_fine_tuning_starts_where_the_weights_are(config: TrainConfig, tree: DecisionTree) -> None:
    train.run(config)
    start = f"{config.output}/small.safetensors"
    train.run(changed(config, output=f"{config.output}-2", init=start, examples=8))
    card = read_card(f"{config.output}-2/small.safetensors")
    assert card.recipe["initial_weights"] == read_card(start).sha256
    cold = changed(config, output=f"{config.output}-3", examples=8)
    train.run(cold)
    warm_rmse, cold_rmse = (
        read_card(f"{config.output}-{n}/small.safetensors").score["rmse_single"] for n in (2, 3)
    )
    assert warm_rmse != cold_rmse


def test_an_ensemble_trains_what_is_missing(
    config: TrainConfig,
    tree: DecisionTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(train, "CONFIGS", tmp_path)
    (tmp_path / "networks").mkdir()
    for name in ("a", "b"):
        spec = SPEC.model_copy(update={"name": name})
        (tmp_path / "networks" / f"{name}.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    members = [{"network": "a"}, {"network": "b", "seed": 4}]
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"name": "two", "members": members}))
    train.run(changed(config, network=str(tmp_path / "networks" / "a.yaml")))
    capsys.readouterr()
    train.run(changed(config, ensemble=str(tmp_path / "two.yaml")))
    said = capsys.readouterr().out
    assert "a.safetensors is complete" in said
    model = check_model(f"{config.output}/two.ensemble.json", tree)
    assert [card.network.name for card in model.cards] == ["a", "b"]
    assert [card.recipe["seed"] for card in model.cards] == [0, 4]


def test_the_configuration_file_may_be_a_recipe(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"data={config.data}", f"output={config.output}", f"network={config.network}", "--print-config"]
    files = {config.recipe: config.recipe, "quick": str(CONFIGS / "recipes" / "quick.yaml")}
    for file, recipe in files.items():
        with pytest.raises(SystemExit) as stop:
            main(["train", "--config", file, *words])
        assert stop.value.code == 0
        assert yaml.safe_load(capsys.readouterr().out)["recipe"] == recipe


def refused(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line by which the command line refuses a training, and that nothing was written."""
    given = config.model_dump(mode="json", exclude_none=True, exclude={"not_good_for"})
    with pytest.raises(SystemExit) as stop:
        main(["train", *(f"{key}={value}" for key, value in given.items())])
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert not Path(config.output).exists()
    (line,) = said.err.strip().splitlines()
    return line


def test_bad_input_is_one_line_before_anything_starts(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = changed(config, workers=2)
    labels = Path(config.data) / LABELS_FILE
    good = pd.read_csv(labels)
    good.drop(columns="Class4.2").to_csv(labels, index=False)
    assert "lacks 1 of 38 columns, first 'Class4.2'" in refused(config, capsys)
    contradicting = good.copy()
    contradicting.loc[3, "Class1.1"] = 0.0
    contradicting.loc[3, "Class1.2"] = np.float64(0.2)
    contradicting.to_csv(labels, index=False)
    assert "the answers to 'smooth_or_featured' of galaxy 103 sum to" in refused(config, capsys)
    good.to_csv(labels, index=False)
    image = Path(config.data) / "images" / "107.png"
    content = image.read_bytes()
    image.unlink()
    assert "1 of 24 labelled galaxies have no image, first 107" in refused(config, capsys)
    image.write_bytes(content)
    recipe = Path(config.recipe)
    recipe.write_text(recipe.read_text().replace("batch_size", "batchsize"))
    assert "batchsize" in refused(config, capsys)
    recipe.write_text(recipe.read_text().replace("batchsize", "batch_size"))
    assert "there are no galaxies to train on: 24 are held out, and training_solutions_rev1.csv has 24" in (
        refused(changed(config, held_out=24), capsys)
    )
    voteless = good.copy()
    voteless.loc[:17, list(load_tree().class_columns)] = np.nan
    voteless.to_csv(labels, index=False)
    assert "has no vote for any of the 18 galaxies to train on" in refused(config, capsys)
    good.assign(volunteers=[0] * 18 + [40] * 6).to_csv(labels, index=False)
    assert "has no vote for any of the 18 galaxies to train on" in refused(config, capsys)
    good.to_csv(labels, index=False)
    assert "expected a name for files without the folder" in refused(changed(config, name="../w"), capsys)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    assert "broken.json" in refused(changed(config, init=str(tmp_path / "broken.safetensors")), capsys)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"recipe": 1}'])
def test_a_folder_that_does_not_say_what_it_holds_is_refused(
    record: str, config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(config.output) / "small.run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(record)
    with pytest.raises(InputError, match=r"run\.json doesn't say which training .* holds; it is damaged"):
        train.run(config)


def test_what_lies_beside_new_weights_is_of_these(config: TrainConfig) -> None:
    output = Path(config.output)
    train.run(config)
    before = (output / "small.seen.safetensors").read_bytes()
    for old in ("small.confidence.json", "small.embedding.safetensors"):
        (output / old).write_text("of other weights")
    shutil.rmtree(output / "small.run")
    (output / "small.safetensors").unlink()
    train.run(changed(config, held_out=12))
    weights = str(output / "small.safetensors")
    seen = read_seen(weights, read_card(weights).sha256)
    assert seen is not None
    assert len(seen.digests) == 12
    assert (output / "small.seen.safetensors").read_bytes() != before
    assert not (output / "small.confidence.json").exists()
    assert not (output / "small.embedding.safetensors").exists()


def test_a_run_whose_checkpoints_are_all_corrupt_is_refused(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(config)
    (Path(config.output) / "small.safetensors").unlink()
    for path in (Path(config.output) / "small.run" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="is not a whole checkpoint, and neither is an older one"):
        train.run(config)
