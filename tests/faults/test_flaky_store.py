"""A whole run through a store that fails one request in ten."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.harness import running
from tests.faults.proxy import ALL, Fault, FaultProxy, random_faults
from tests.faults.survey import cutout_table

KINDS = [*(kind for kind in ALL if kind is not Fault.STALL for _ in range(2)), Fault.STALL]
"""Stalls half as often as each other kind: the client waits 30 s for every one."""


def test_it_ends_complete(in_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    for number in range(3):
        sink = pa.BufferOutputStream()
        pq.write_table(cutout_table(number * 20, 20), sink)
        storage.write_bytes(f"{bucket}/cutouts/shard-{number}.parquet", sink.getvalue().to_pybytes())
    words = ["classify", f"input={bucket}/cutouts", f"output={bucket}/out", "unit_rows=5", "transforms=1"]
    environment = in_store.environment | no_other_keys()
    faults = random_faults(11, 0.1, KINDS)
    with FaultProxy(environment["AWS_ENDPOINT_URL"], faults, stall_s=35, slow_s=1) as proxy:
        through = environment | {"AWS_ENDPOINT_URL": proxy.endpoint}
        with running(words, tmp_path, through) as run:
            assert run.wait() == 0, run.text()
        assert sum(proxy.injected.values()) >= 10
        assert len(proxy.injected) >= 4
    with running(["verify", f"{bucket}/out"], tmp_path, environment) as check:
        assert check.wait() == 0, check.text()
        assert "60 input rows = 55 classified + 5 quarantined" in check.text()
