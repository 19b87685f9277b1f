"""What of a verb's settings is right on another machine, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.job_settings import PLACES, config_model, load_settings, settings_for_cluster
from jobs.submit import passed_on
from pipeline.config import load_config


def test_places_become_absolute_and_words_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("cpu", "galaxies", "Stripe 82 g"):
        (tmp_path / folder).mkdir()
    words = ["input=galaxies", "output=s3://a/b", "title=Stripe 82 g/r", "device=cpu"]
    settings = settings_for_cluster(load_config(config_model("classify"), None, words))
    assert settings == {
        "input": str(tmp_path / "galaxies"),
        "output": "s3://a/b",
        "title": "Stripe 82 g/r",
        "device": "cpu",
    }


def test_a_job_knows_the_store_and_how_to_log_and_gets_no_keys() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://store:9000", "TUNINGFORK_LOG": "json"}
    keys = {"AWS_SECRET_ACCESS_KEY": "secret", "HOME": "/home/me"}
    assert passed_on(environment | keys) == environment
    tracking = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_EXPERIMENT_NAME": "galaxies"}
    assert passed_on(tracking) == tracking
    assert passed_on({"MLFLOW_TRACKING_URI": "http://me:secret@mlflow:5000"}) == {}
    lineage = {"OPENLINEAGE_URL": "http://marquez:5000", "OPENLINEAGE_NAMESPACE": "galaxies"}
    assert passed_on(lineage | {"OPENLINEAGE_API_KEY": "secret"}) == lineage


def test_labels_lie_below_the_data() -> None:
    words = ["data=s3://a/b", "output=s3://a/c", "labels=labels/votes.csv"]
    settings = settings_for_cluster(load_config(config_model("train"), None, words))
    assert settings["labels"] == "labels/votes.csv"


def test_the_configuration_of_a_training_may_be_a_recipe(tmp_path: Path) -> None:
    words = ["data=s3://a/b", "output=s3://a/c"]
    settings = settings_for_cluster(load_settings("train", words, "quick"))
    assert settings["recipe"] == "configs/recipes/quick.yaml"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\nexamples: 100\nbatch_size: 10\n")
    settings = settings_for_cluster(load_settings("train", words, str(recipe)))
    assert settings == {"data": "s3://a/b", "output": "s3://a/c", "recipe": str(recipe)}


def test_a_configuration_that_comes_along_has_a_short_name() -> None:
    assert load_settings("classify", [], "hubble").model_dump()["title"] == "The Hubble deep field"


def test_every_place_is_a_setting() -> None:
    fields = set().union(*(config_model(verb).model_fields for verb in ("classify", "refresh", "train")))
    assert fields >= PLACES
