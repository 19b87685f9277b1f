"""The first look at an input, before anything is planned: does the survey file fit it?"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence

from pipeline.cutouts.reading import ShardInfo
from pipeline.errors import InputError
from pipeline.protocol.plan import WorkUnit
from pipeline.streaming.isolation import IsolatedDecoder
from pipeline.streaming.limits import DecodeLimits
from pipeline.survey.source import Inventory

_LOOKED_AT = 4
"""Galaxies by which a survey file is tried on an input."""

_OF_ALL = ("missing_band", "no_extension", "bad_shape")
"""What, if it's wrong with one galaxy after the other, is wrong with the survey file."""


def check_survey(source: Inventory, shards: Sequence[ShardInfo], limits: DecodeLimits | None = None) -> None:
    """Try a survey file on the first galaxies of an input, in a child process.

    A galaxy that kills the child says nothing about the survey file: the run will quarantine it.

    Raises
    ------
    InputError
        If none of them can be used for a reason that lies in the survey file.
    StorageTrouble
        If the store fails.
    """
    first = next((shard for shard in shards if shard.rows), None)
    if source.survey is None or first is None:
        return
    unit = WorkUnit(0, first.uri, 0, min(_LOOKED_AT, first.rows))
    with tempfile.TemporaryDirectory() as index:
        source.save_index(index, [first.uri])
        decoder = IsolatedDecoder(limits or DecodeLimits(), source, index=index)
        with contextlib.closing(decoder):
            rows = decoder.decode(unit)
    if all(row.get("reason") in _OF_ALL for row in rows):
        raise InputError(
            f"{first.uri}: none of the first {len(rows)} galaxies can be read as survey "
            f"{source.survey.name!r} says: {rows[0]['message']}"
        )
