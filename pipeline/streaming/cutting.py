"""A function of many items through Ray Data, a task each: how a cut is spread over a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import pyarrow as pa
import ray

from pipeline.errors import InputError, RunError, StorageTrouble
from pipeline.streaming.cluster import connect

_ERRORS = {kind.__name__: kind for kind in (InputError, RunError, StorageTrouble)}

Item = TypeVar("Item")


def spread(do: Callable[[Item], str], items: Sequence[Item]) -> Iterator[str]:
    """``map(do, items)`` on the cluster, in whatever order results come.

    Parameters
    ----------
    do
        Can be done again, as it is where a node is lost.

    Raises
    ------
    InputError, RunError
        What `do` raises.
    """
    connect()

    def each(batch: dict[str, Any]) -> Iterator[pa.Table]:
        for number in batch["id"]:
            try:
                yield _row(do(items[int(number)]), "")
            except (InputError, RunError) as error:
                yield _row(str(error), type(error).__name__)

    numbers = ray.data.range(len(items), override_num_blocks=len(items))
    done = numbers.map_batches(cast(Any, each), batch_size=1)  # Arrow tables aren't in Ray's type
    for row in done.iter_rows():
        if row["error"]:
            raise _ERRORS[row["error"]](row["value"])
        yield row["value"]


def _row(value: str, error: str) -> pa.Table:
    return pa.table({"value": pa.array([value], pa.string()), "error": pa.array([error], pa.string())})
