"""The main job on a real object store, with permissions and without."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import storage
from tests.conftest import ObjectStore, no_other_keys
from tests.faults.survey import write_survey
from tests.support.command import tuningfork, tuningfork_here
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

Verb = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "denied", [pytest.param("ListBucket", marks=pytest.mark.long), "GetObject", "PutObject"]
)
def test_a_run_without_permission_is_one_line_before_it_starts(
    denied: str, in_store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    write_survey(tmp_path / "cutouts", 4, shards=1)
    shard = tmp_path / "cutouts" / "shard-0.parquet"
    storage.write_bytes(f"{bucket}/cutouts/{shard.name}", shard.read_bytes())
    in_store.deny(bucket, denied)
    words = ("classify", f"input={bucket}/cutouts", f"output={bucket}/out")
    done = tuningfork_here(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert bucket in done.stderr
    assert "permission denied; check what the credentials allow" in done.stderr


def test_the_main_job_reads_and_writes_the_store(in_store: ObjectStore, tmp_path: Path) -> None:
    bucket = in_store.bucket_uri("survey")
    images = tmp_path / "images"
    images.mkdir()
    for i in range(12):
        (images / f"g{i:02d}.png").write_bytes(png(galaxy(i, 120)))
    (images / "cut.png").write_bytes(png(galaxy(50, 200))[:3000])
    said = []

    def run(*words: str, verb: Verb = tuningfork_here) -> subprocess.CompletedProcess[str]:
        done = verb(*words, cwd=tmp_path, environment=in_store.environment | no_other_keys())
        said.append(done.stdout + done.stderr)
        assert done.returncode == 0, said[-1]
        return done

    run("ingest", "images", "images", f"output={bucket}/cutouts")
    classify = ("classify", f"input={bucket}/cutouts", f"output={bucket}/out", "unit_rows=5", "transforms=1")
    assert "12 galaxies classified" in run(*classify, verb=tuningfork).stdout
    before = in_store.objects("survey")
    assert any(key.startswith("out/catalogue/_delta_log/") for key in before)
    assert "out/report.html" in before

    again = run(*classify).stdout
    assert "is complete" in again
    assert "Nothing to do" in again
    assert in_store.objects("survey") == before
    assert in_store.uploads("survey") == []
    table = snapshot(f"{bucket}/out/catalogue")
    assert sorted(table["object_id"].to_pylist()) == [f"g{i:02d}" for i in range(12)]

    secret = in_store.environment["AWS_SECRET_ACCESS_KEY"]
    assert not [text for text in said if secret in text]
    assert not [key for key, content in before.items() if secret.encode() in content]
