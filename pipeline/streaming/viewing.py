"""Pictures of galaxies for pages, decoded in a child process as those of a run are."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import pyarrow as pa

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.streaming.isolation import Isolation, request_of
from pipeline.streaming.limits import DecodeLimits
from pipeline.survey import Inventory


class Viewer:
    """Reads cutouts with their pictures; to be used in a ``with``, which ends its child process."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self._isolation = Isolation(limits or DecodeLimits())

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._isolation.close()

    def view(self, source: Inventory, shard: str, rows: Sequence[int]) -> pa.Table:
        """Some rows of a shard, as `CUTOUT_SCHEMA`; those that have no picture are left out.

        Parameters
        ----------
        source
            What reads the shard. A survey's pictures are developed, and given as PNG.
        rows
            Ascending.

        Raises
        ------
        InputError
            If the shard is gone, can't be read or hasn't the rows.
        StorageTrouble
            If the store fails.
        """
        if not rows:
            return CUTOUT_SCHEMA.empty_table()
        groups = source.group_ranges(shard, rows[0], rows[-1] + 1)
        bounds = [(bisect.bisect_left(rows, first), bisect.bisect_left(rows, last)) for first, last in groups]
        with tempfile.TemporaryDirectory() as index:
            source.save_index(index, [shard])

            def request(start: int, stop: int) -> dict[str, Any]:
                return request_of(source, index, shard, rows[start:stop]) | {"view": True}

            seen = self._isolation.answers([bound for bound in bounds if bound[0] < bound[1]], request)
        pictures = [row | {"image": row.pop("pixels")} for row in seen if "pixels" in row]
        return pa.Table.from_pylist(pictures, schema=CUTOUT_SCHEMA)
