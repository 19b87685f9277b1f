"""What the rows of a shard hold, as digests: how a refresh knows which have changed."""

from __future__ import annotations

import pyarrow as pa

from pipeline.survey.cutouts import content_digest
from pipeline.survey.shards import count_rows, group_ranges, salvage_rows

CONTENT_SCHEMA = pa.schema([("object_id", pa.string()), ("content", pa.string())])


def read_contents(shard_uri: str) -> pa.Table:
    """Ids and digests of all rows of a shard, one row group in memory at a time.

    Returns
    -------
    pyarrow.Table
        With `CONTENT_SCHEMA`; ``content`` is null where a row can't be read.

    Raises
    ------
    StorageTrouble, InputError
        See `salvage_rows`.
    """
    pieces = [
        _contents(shard_uri, start, stop) for start, stop in group_ranges(shard_uri, 0, count_rows(shard_uri))
    ]
    return pa.concat_tables([CONTENT_SCHEMA.empty_table(), *pieces])


def _contents(shard_uri: str, start: int, stop: int) -> pa.Table:
    read = salvage_rows(shard_uri, start, stop)
    digests = [
        None if offset in read.problems else content_digest(row)
        for offset, row in enumerate(read.table.to_pylist())
    ]
    return pa.Table.from_arrays(
        [read.table["object_id"], pa.array(digests, pa.string())], schema=CONTENT_SCHEMA
    )
