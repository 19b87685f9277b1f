"""What many tests need: the tree, a browser, and an object store: Ceph's gateway, else moto."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from hypothesis import settings
from playwright.sync_api import Browser
from xdist.scheduler import LoadScopeScheduling

from pipeline.storage import connection
from pipeline.tree import DecisionTree, load_tree
from tests.support.browser import chromium
from tests.support.command import RAY_SETTINGS
from tests.support.forked_workers import use_forks
from tests.support.wheel import build_wheel

INFRA = Path(__file__).resolve().parents[1] / "infra" / "s3"
CANNOT_BE_HAD = 2


@dataclass(frozen=True)
class ObjectStore:
    """An S3 store, and the environment by which clients find it.

    `checks_keys` says whether it's a real one, that refuses wrong keys.
    """

    environment: dict[str, str]
    checks_keys: bool

    def bucket_uri(self, name: str) -> str:
        """The URI of a bucket, which is made if it isn't there yet."""
        client = self.client()
        if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def client(self) -> Any:
        """A client of botocore's own, to look at the store without the code under test."""
        return botocore.session.Session().create_client(
            "s3",
            region_name=self.environment["AWS_REGION"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                request_checksum_calculation="when_required", response_checksum_validation="when_required"
            ),
        )

    def objects(self, name: str) -> dict[str, bytes]:
        """All objects of a bucket with their content."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}

    def uploads(self, name: str) -> list[str]:
        """Keys of the uploads in parts that were neither completed nor aborted."""
        found = self.client().list_multipart_uploads(Bucket=name)
        return [upload["Key"] for upload in found.get("Uploads", ())]

    def deny(self, bucket_uri: str, *actions: str) -> None:
        """Take rights on a bucket and its objects away from everybody."""
        if not self.checks_keys:
            pytest.skip("moto checks no permissions")
        name = bucket_uri.removeprefix("s3://")
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": [f"s3:{action}" for action in actions],
            "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client().put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


pytest_plugins = ["tests.support.runs"]

os.environ.update(RAY_SETTINGS)

# No deadline: a busy machine is no counterexample.
settings.register_profile("tuningfork", deadline=None, max_examples=30)
settings.register_profile("soak", deadline=None, max_examples=1000)
settings.load_profile("tuningfork")


class ByFile(LoadScopeScheduling):
    """Whole files go to any of several processes: what a file's tests share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Share tests among processes (pytest-xdist, ``--numprocesses``)."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what starts clusters, so that at the end no process has long to wait for the other."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/faults/", "tests/integration/")))


def pytest_collection_finish() -> None:
    """Have Ray's workers forked, where tests use Ray themselves."""
    if "ray" in sys.modules:
        use_forks()


@pytest.fixture(scope="session")
def tree() -> DecisionTree:
    """The decision tree of Galaxy Zoo 2."""
    return load_tree()


@pytest.fixture(scope="session")
def hubble_shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The galaxies of the Hubble deep field, as `ingest` writes them; who changes them takes a copy."""
    from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble

    folder = tmp_path_factory.mktemp("hubble") / "cutouts"
    ingest_hubble(IngestHubbleConfig(output=str(folder)))
    (shard,) = folder.glob("*.parquet")
    return shard


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium, for one file of tests: Playwright's event loop would be in the way of other files'."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A store of this session's own, empty at first."""
    folder = tmp_path_factory.mktemp("object_store")
    done = subprocess.run([INFRA / "up", folder], capture_output=True, text=True, check=False)
    try:
        if done.returncode == 0:
            yield ObjectStore(_environment(folder / "environment"), checks_keys=True)
            return
        required = "CI" in os.environ or "TUNINGFORK_REQUIRE_RADOSGW" in os.environ
        if required or done.returncode != CANNOT_BE_HAD:
            pytest.fail(f"Ceph's gateway could not be started: {done.stdout}{done.stderr}", pytrace=False)
    finally:
        subprocess.run([INFRA / "down", folder], capture_output=True, check=True)
    warnings.warn(f"{done.stderr.strip()}; the tests of s3:// use moto, which checks no keys", stacklevel=1)
    with _moto(folder / "moto.log") as store:
        yield store


@pytest.fixture
def in_store(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The store, with this process's environment set for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (object_store.environment | no_other_keys()).items():
        monkeypatch.setenv(name, value)
    connection._s3_filesystem.cache_clear()
    yield object_store
    connection._s3_filesystem.cache_clear()


@pytest.fixture
def bucket(in_store: ObjectStore, request: pytest.FixtureRequest) -> str:
    """The URI of a bucket of this test's own."""
    return in_store.bucket_uri("t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20])


def no_other_keys() -> dict[str, str]:
    """The environment in which a client finds none of the user's own keys."""
    return {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _environment(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


@contextlib.contextmanager
def _moto(log: Path) -> Iterator[ObjectStore]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(port, server)
        yield ObjectStore(
            {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "moto-access",
                "AWS_SECRET_ACCESS_KEY": "moto-secret-that-must-not-be-seen",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ALLOW_HTTP": "true",
            },
            checks_keys=False,
        )
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(120):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.25)
    pytest.fail("moto's server did not start", pytrace=False)
