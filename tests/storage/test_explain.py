"""What a store's errors are turned into: one line, that trouble passes or not, and no secret."""

from __future__ import annotations

import errno
import os

import pytest

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage.explain import reason


class Refused(Exception):
    """What botocore raises: it keeps the store's answer."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.response = {"Error": {"Code": code, "Message": message}}


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("NoSuchBucket", "no such bucket"),
        ("InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", "the session's token has expired; get new credentials"),
        ("AccessDenied", "permission denied"),
        ("SlowDown", "throttling"),
        ("RequestTimeTooSkewed", "clock"),
        ("PermanentRedirect", "region"),
    ],
)
def test_what_a_store_refuses_is_explained(code: str, line: str) -> None:
    error = OSError("a client's own words")
    error.__cause__ = Refused(code)
    assert line in reason(error)
    assert "\n" not in reason(error)


def test_an_explanation_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t+/key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0k3n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://user:passw0rd@store:9000/x")
    assert reason(Refused("Odd", "s3cr3t+/key\nand t0k3n")) == "… and …"

    assert reason(OSError("Generic S3 error\n  \x1b[31m↳\x1b[0m no reply")) == "Generic S3 error ↳ no reply"

    class EndpointConnectionError(Exception):
        pass

    assert reason(EndpointConnectionError()).startswith("no connection to https://store:9000; ")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused("ExpiredToken"), StorageTrouble),
        (Refused("SlowDown"), StorageTrouble),
        (ConnectionResetError("reset"), StorageTrouble),
        (OSError("Generic S3 error: 400: <Error><Code>ExpiredToken</Code></Error>"), StorageTrouble),
        (Refused("AccessDenied"), InputError),
        (FileNotFoundError("x"), InputError),
    ],
)
def test_trouble_that_passes_is_told_from_wrong_settings(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="cannot read s3://b/x: "), storage.explained("read", "s3://b/x"):
        raise error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
def test_trouble_of_a_disk_passes_however_it_is_told(number: int) -> None:
    told = OSError(number, os.strerror(number))
    in_text = ValueError(f"Failed to parse: {os.strerror(number)} (os error {number})")
    for error in (told, in_text):
        line = r"^cannot write a: .*, then run the same command again$"
        with pytest.raises(StorageTrouble, match=line), storage.explained("write", "a"):
            raise error


def test_what_a_store_refuses_for_good_does_not_pass_by_its_clients_number() -> None:
    refused = Refused("InvalidRequest")
    with pytest.raises(InputError), storage.explained("write", "a"):
        raise OSError(errno.EIO, "any") from refused


def test_a_connection_that_broke_off_under_the_delta_library_passes() -> None:
    text = "Generic S3 error \x1b[31m↳\x1b[0m HTTP error \x1b[31m↳\x1b[0m request or response body error"
    with (
        pytest.raises(StorageTrouble, match="broke the connection off"),
        storage.explained("open", "s3://b/x"),
    ):
        raise OSError(text)
