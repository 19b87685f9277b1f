"""Tags that people keep of galaxies: a CSV of ``object_id, tag``, a line a tag."""

from __future__ import annotations

import io

import pandas as pd

from pipeline import storage
from pipeline.errors import InputError

_COLUMNS = ["object_id", "tag"]


def read_tags(uri: str) -> dict[str, list[str]]:
    """Ids of the galaxies that have each tag, in the file's order.

    Ids and tags may be as a CSV export guards them from spreadsheets (see `storage.guarded`); other
    columns are left alone.

    Raises
    ------
    InputError
        If the file isn't there, is no CSV of these columns, or a line lacks one of the two.
    """
    data = storage.read_bytes(uri)
    try:
        table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{uri} is not a CSV of tags: {' '.join(str(error).split())}") from error
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{uri} has no column {missing[0]!r}; expected the columns object_id, tag")
    tags: dict[str, list[str]] = {}
    for number, (identifier, tag) in enumerate(table[_COLUMNS].itertuples(index=False), 2):
        if not (identifier and tag):
            raise InputError(f"{uri}, line {number}: {identifier or tag!r} alone; expected an id and a tag")
        tags.setdefault(storage.unguarded(tag), []).append(storage.unguarded(identifier))
    return {tag: list(dict.fromkeys(ids)) for tag, ids in tags.items()}
