"""A loopback object store for benchmarks and long tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pipeline import storage
from tests.support.command import ROOT


@contextlib.contextmanager
def object_store(folder: Path, bucket: str) -> Iterator[str]:
    """Start radosgw in a folder, with this process's environment set for it; yields the bucket's URI."""
    subprocess.run([str(ROOT / "infra/s3/up"), str(folder)], check=True, stdout=subprocess.DEVNULL)
    try:
        for line in (folder / "environment").read_text().splitlines():
            key, equals, value = line.removeprefix("export ").partition("=")
            if equals:
                os.environ[key] = value.strip("'\"")
        storage.filesystem(f"s3://{bucket}")[0].mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        subprocess.run([str(ROOT / "infra/s3/down"), str(folder)], check=False, stdout=subprocess.DEVNULL)
