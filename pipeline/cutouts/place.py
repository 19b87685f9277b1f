"""Where a galaxy was read: a row of a shard, as the catalogue's column ``input`` names it."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

_PATTERN = r"^(?P<shard>.*)#(?P<row>\d{1,18})$"


class Place(NamedTuple):
    """A row of a shard; its text is ``<shard>#<row>``.

    Examples
    --------
    >>> str(Place("s3://sky/part-0.parquet", 7))
    's3://sky/part-0.parquet#7'
    >>> Place.parse("s3://sky/part-0.parquet#7").row
    7
    """

    shard: str
    row: int

    def __str__(self) -> str:
        return f"{self.shard}#{self.row}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that a text ``<shard>#<row>`` names.

        Raises
        ------
        ValueError
            If the text names none.
        """
        shard, _, row = text.rpartition("#")
        return cls(shard, int(row))


def parse_places(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Shards and rows of many places; null where a text is none."""
    parsed = pc.extract_regex(texts, _PATTERN)
    return pc.struct_field(parsed, 0), pc.struct_field(parsed, 1).cast(pa.int64())
