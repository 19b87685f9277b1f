"""Shards of an index as tasks of Ray: a few at a time, each on one core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import ray

from pipeline.representations.index import Shard, build_shard

_WAITING = 2
"""Shards whose rows wait in memory beside those that are built."""


def build_shards(index: str, shards: Iterable[tuple[Shard, pa.Table]]) -> Iterator[Shard]:
    """Build shards from their rows on the cluster that is connected; each as it is written.

    Raises
    ------
    InputError
        If a shard can't be written.
    """
    task = ray.remote(num_cpus=1, max_retries=3)(build_shard)
    most = int(ray.cluster_resources().get("CPU", 1)) + _WAITING
    going: list[ray.ObjectRef[Shard]] = []
    for shard, rows in shards:
        going.append(task.remote(index, shard, rows))
        while len(going) >= most:
            yield from _one_done(going)
    while going:
        yield from _one_done(going)


def _one_done(going: list[ray.ObjectRef[Shard]]) -> Iterator[Shard]:
    (done,), rest = ray.wait(going, num_returns=1)
    going[:] = rest
    try:
        yield ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
