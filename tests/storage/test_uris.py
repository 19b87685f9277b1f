"""URIs: the store that each is of, and its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import InputError


def test_names_and_joins() -> None:
    assert storage.join("s3://bucket/", "a", "b") == "s3://bucket/a/b"
    assert storage.name("s3://bucket/a/b/") == "b"


@pytest.mark.parametrize("act", [storage.exists, storage.list_files, storage.read_bytes, storage.file_info])
def test_an_unknown_scheme_is_one_line(act: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=r"'nosuch://bucket/key'.*s3://bucket/key") as error:
        act("nosuch://bucket/key")
    assert "\n" not in str(error.value)


def test_options_of_delta_follow_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert storage.delta_options("/local/path") == {}
    assert storage.delta_options("s3://bucket/x")["AWS_ALLOW_HTTP"] == "true"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store")
    options = storage.delta_options("s3://bucket/x")
    assert options["AWS_ENDPOINT_URL"] == "https://store"
    assert "AWS_ALLOW_HTTP" not in options
    assert not [name for name in options if "KEY" in name or "TOKEN" in name]


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/b") == str(tmp_path / "a/b")
    assert storage.absolute(str(tmp_path)) == str(tmp_path)
    assert storage.absolute("memory://a/b") == "memory://a/b"
