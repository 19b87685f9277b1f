"""The settings of a verb that is to run as a job: read here, right there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import storage
from pipeline.config import CONFIGS, PROJECT, load_config, shipped
from pipeline.errors import InputError

PLACES = frozenset(
    {
        "input",
        "output",
        "survey",
        "positions",
        "tiles",
        "weights",
        "clump_weights",
        "tree",
        "data",
        "network",
        "recipe",
        "ensemble",
        "init",
    }
)
"""Settings that name files or folders, of all verbs that can be submitted."""


def config_model(verb: str) -> type[BaseModel]:
    """The settings that a verb takes.

    Raises
    ------
    InputError
        If it is no verb that can be submitted.
    """
    from jobs.classify import ClassifyConfig
    from jobs.detect import DetectConfig
    from pipeline.run.settings import StreamConfig
    from pipeline.training.weights import TrainConfig

    models: dict[str, type[BaseModel]] = {
        "classify": ClassifyConfig,
        "detect": DetectConfig,
        "refresh": StreamConfig,
        "train": TrainConfig,
    }
    if verb not in models:
        raise InputError(f"submit takes one of {', '.join(models)}; it was given {verb!r}")
    return models[verb]


def load_settings(verb: str, overrides: Sequence[str], file: str | None) -> BaseModel:
    """The settings of a verb, from what the verb itself takes.

    Raises
    ------
    InputError
        If it is no verb that can be submitted, or its settings are wrong.
    """
    model = config_model(verb)
    if verb == "train":
        from jobs.train import recipe_as_setting

        file, overrides = recipe_as_setting(file, overrides)
    return load_config(model, file and shipped("jobs", file), overrides)


def settings_for_cluster(config: BaseModel) -> dict[str, Any]:
    """The settings that were given, with paths that hold on another machine.

    Files that come with the project travel with the job. Any other local path is made absolute:
    right where the cluster shares this machine's file system, and an error of the job elsewhere.
    """

    def moved(value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return [str(moved(item)) for item in value]
        if "://" in value or not ("/" in value or Path(value).exists()):
            return value
        path = Path(storage.absolute(value))
        return str(path.relative_to(PROJECT)) if path.is_relative_to(CONFIGS) else str(path)

    given = config.model_dump(mode="json", exclude_unset=True)
    return {key: moved(value) if key in PLACES and value else value for key, value in given.items()}
