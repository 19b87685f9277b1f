"""What of a verb's settings is right on another machine, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.submit import PLACES, config_model, settings_for_cluster
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


def test_labels_lie_below_the_data() -> None:
    words = ["data=s3://a/b", "output=s3://a/c", "labels=labels/votes.csv"]
    settings = settings_for_cluster(load_config(config_model("train"), None, words))
    assert settings["labels"] == "labels/votes.csv"


def test_every_place_is_a_setting() -> None:
    fields = set().union(*(config_model(verb).model_fields for verb in ("classify", "refresh", "train")))
    assert fields >= PLACES
