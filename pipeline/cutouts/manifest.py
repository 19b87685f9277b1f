"""``survey.json``: what a cutout set holds and how it was made, written last."""

from __future__ import annotations

import json
from typing import Any

from pipeline import storage
from pipeline.config import StrictModel, validate
from pipeline.errors import InputError

MANIFEST = "survey.json"
"""Name of the file beside the shards; a set that `ShardWriter` made is complete when it's there."""


class ShardRows(StrictModel):
    """A shard's file name and number of rows."""

    name: str
    rows: int


class Survey(StrictModel):
    """A complete cutout set.

    `source` and `criteria` say what it was made from, so that the same ingest can be recognised.
    """

    name: str
    source: str
    criteria: dict[str, Any]
    cutouts: int
    counts: dict[str, int]
    shards: tuple[ShardRows, ...]


def read_survey(uri: str) -> Survey | None:
    """The ``survey.json`` of the set under a URI; None if it has none.

    Raises
    ------
    InputError
        If the store can't be reached or the file isn't what `ShardWriter` writes.
    """
    path = storage.join(uri, MANIFEST)
    if not storage.exists(path):
        return None
    try:
        values = json.loads(storage.read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); remove the set and ingest it again") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path} holds {type(values).__name__}; expected a JSON object: ingest the set again"
        )
    return validate(Survey, values, path)


def create_survey(uri: str, survey: Survey) -> bool:
    """Write ``survey.json``; False, with nothing written, if there is one."""
    text = json.dumps(survey.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return storage.create(storage.join(uri, MANIFEST), f"{text}\n".encode())
