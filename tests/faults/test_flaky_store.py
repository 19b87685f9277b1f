"""Whole runs through a store that fails one request in ten, or every one from some moment on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.harness import running
from tests.faults.proxy import ALL, Fault, FaultProxy, random_faults
from tests.faults.survey import cutout_table
from tests.support.command import tuningfork_here

QUICK = [kind for kind in ALL if kind is not Fault.STALL]
"""The client waits 30 s for every stall."""


@pytest.fixture
def words(bucket: str) -> list[str]:
    """A run over 60 galaxies in 12 units, in a bucket."""
    for number in range(3):
        sink = pa.BufferOutputStream()
        pq.write_table(cutout_table(number * 20, 20), sink)
        storage.write_bytes(f"{bucket}/cutouts/shard-{number}.parquet", sink.getvalue().to_pybytes())
    return ["classify", f"input={bucket}/cutouts", f"output={bucket}/out", "unit_rows=5", "transforms=1"]


def check_complete(bucket: str, folder: Path, environment: dict[str, str]) -> None:
    check = tuningfork_here("verify", f"{bucket}/out", cwd=folder, environment=environment)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "60 input rows = 55 classified + 5 quarantined" in check.stdout


@pytest.mark.parametrize("kinds", [QUICK, pytest.param(ALL, marks=pytest.mark.long)], ids=["quick", "all"])
def test_it_ends_complete(
    in_store: ObjectStore, bucket: str, words: list[str], tmp_path: Path, kinds: Sequence[Fault]
) -> None:
    environment = in_store.environment | no_other_keys()
    faults = random_faults(11, 0.1, kinds)
    with FaultProxy(environment["AWS_ENDPOINT_URL"], faults, stall_s=35, slow_s=1) as proxy:
        through = environment | {"AWS_ENDPOINT_URL": proxy.endpoint}
        with running(words, tmp_path, through) as run:
            assert run.wait() == 0, run.text()
        assert sum(proxy.injected.values()) >= 10
        assert len(proxy.injected) >= 4
    check_complete(bucket, tmp_path, environment)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (Fault.EXPIRED, "the session's token has expired; get new credentials, then run the same command"),
        (
            Fault.SLOW_DOWN,
            "the store is throttling: it refused 5 times in a row (SlowDown); try again later",
        ),
    ],
)
def test_a_store_lost_in_mid_run_is_one_clear_error(
    in_store: ObjectStore, bucket: str, words: list[str], tmp_path: Path, fault: Fault, advice: str
) -> None:
    environment = in_store.environment | no_other_keys()

    def units_done() -> int:
        return sum("/ledger/" in key for key in in_store.objects(bucket.removeprefix("s3://")))

    def faults() -> Iterator[Fault | None]:
        # The proxy asks before each request, so the run can't get past the moment unseen.
        while units_done() < 2:
            yield None
        while True:
            yield fault

    with (
        FaultProxy(environment["AWS_ENDPOINT_URL"], faults()) as proxy,
        running(words, tmp_path, environment | {"AWS_ENDPOINT_URL": proxy.endpoint}) as run,
    ):
        assert run.wait() == 1, run.text()
        (line,) = [line for line in run.text().splitlines() if line.startswith("tuningfork:")]
        assert advice in line
        assert "Traceback" not in run.text()
    with running(words, tmp_path, environment) as run:
        assert run.wait() == 0, run.text()
        assert "of 12 units are done" in run.text()
    check_complete(bucket, tmp_path, environment)
