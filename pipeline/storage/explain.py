"""What went wrong with a store, in one line that a user can act on and that holds no secret."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar
from urllib.parse import urlsplit

from pipeline.errors import InputError, RunError, StorageTrouble, redacted
from pipeline.storage.connection import ATTEMPTS, READ_TIMEOUT_S, s3_endpoint

Entered = TypeVar("Entered")

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
"""The Delta library colours its messages."""

_CODE_IN_TEXT = re.compile(r"<Code>(\w+)</Code>")
"""The Delta library's errors hold the store's answer as text only."""

_NUMBER_IN_TEXT = re.compile(r"\b(?:os error|errno) (\d+)\b", re.IGNORECASE)
"""Nor do they, or Arrow's, have the system's number of an error as anything else."""

_BROKEN_OFF_IN_TEXT = re.compile(r"request or response body error|error sending request")
"""So they tell of a connection that broke off."""

_BROKEN_OFF = "{endpoint} broke the connection off again and again; check the store and the network"

_THROTTLED = (
    f"the store is throttling: it refused {ATTEMPTS} times in a row (%s); try again later, or with less "
    "work at a time"
)

_EXPIRED = "the session's token has expired; get new credentials, then run the same command again"

_DENIED = "permission denied; check what the credentials allow"

_PASSING_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"), _EXPIRED
    ),
    **{
        code: _THROTTLED % code
        for code in ("SlowDown", "ServiceUnavailable", "503", "Throttling", "ThrottlingException")
    },
    **dict.fromkeys(
        ("InternalError", "500", "502", "504"),
        f"the store failed within {ATTEMPTS} times in a row; check that it is well, then try again",
    ),
}
"""Trouble that passes, or that new credentials end: the same command can be run again as it is."""

_BY_CODE = {
    "NoSuchBucket": "there is no such bucket; check its name, the endpoint and the region, or create it",
    "NoSuchKey": "it doesn't exist",
    "404": "it doesn't exist",
    "InvalidAccessKeyId": "the store doesn't know the access key; check AWS_ACCESS_KEY_ID and the endpoint",
    "SignatureDoesNotMatch": "the secret key is not the access key's; check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session's token is not valid; check AWS_SESSION_TOKEN, or unset it",
    "InvalidClientTokenId": "the session's token is not valid; check AWS_SESSION_TOKEN, or unset it",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the store's; set it",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION and AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "the region is not the bucket's; set AWS_REGION and AWS_DEFAULT_REGION",
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "403", "Forbidden"), _DENIED),
}

_BY_CLASS = dict.fromkeys(
    ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"),
    "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role of the cloud",
)

_PASSING_BY_CLASS = {
    **dict.fromkeys(
        ("CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
        "the credentials can't be had or have expired; log in to the cloud again",
    ),
    **dict.fromkeys(
        ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"),
        "no connection to {endpoint}; check AWS_ENDPOINT_URL and that the store is up",
    ),
    **dict.fromkeys(
        ("ClientConnectorError", "ClientConnectorDNSError", "ServerDisconnectedError"),
        "the server can't be reached; check its address and that it is up",
    ),
    **dict.fromkeys(
        ("ReadTimeoutError", "AioReadTimeoutError"),
        f"{{endpoint}} gave no answer for {READ_TIMEOUT_S} s, {ATTEMPTS} times in a row; check the store",
    ),
    **dict.fromkeys(
        ("ConnectionClosedError", "ResponseStreamingError", "ClientPayloadError", "IncompleteReadError"),
        _BROKEN_OFF,
    ),
}

_PASSING_BY_NUMBER = {
    errno.ENOSPC: "the disk is full; make room, then run the same command again",
    errno.EDQUOT: "the quota on that disk is used up; make room, then run the same command again",
    errno.EROFS: "the disk is mounted for reading only; mount it for writing, then run "
    "the same command again",
    errno.EIO: "the disk or its connection fails (input/output error); check it, then "
    "run the same command again",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "too many files are open; raise the limit (ulimit -n), then run the same command again",
    ),
}


@contextlib.contextmanager
def explained(action: str, uri: str) -> Iterator[None]:
    """Turn whatever a store's client raises into one line that names the URI.

    Raises
    ------
    StorageTrouble
        In the place of an exception that tells of trouble that passes.
    InputError
        In the place of any other exception.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        kind = StorageTrouble if is_passing(error) else InputError
        raise kind(f"cannot {action} {uri}: {reason(error)}") from error


@contextlib.contextmanager
def explained_ends(action: str, uri: str, block: AbstractContextManager[Entered]) -> Iterator[Entered]:
    """A block whose beginning and good end are `explained`; what is raised within it passes as it is.

    Raises
    ------
    StorageTrouble, InputError
        As `explained` does.
    """
    with contextlib.ExitStack() as stack:
        with explained(action, uri):
            entered = stack.enter_context(block)
        yield entered
        with explained(action, uri):
            stack.close()


def is_passing(error: BaseException) -> bool:
    """Whether a call may work when made again later, with the same settings."""
    return (
        isinstance(error, ConnectionError | TimeoutError)
        or error_code(error) in _PASSING_BY_CODE
        or bool(_by_class(error, _PASSING_BY_CLASS))
        or error_number(error) in _PASSING_BY_NUMBER
        or bool(_BROKEN_OFF_IN_TEXT.search(str(error)))
    )


def reason(error: BaseException) -> str:
    """Why a store's call failed, and what to do about it; of one line, without secrets."""
    message = (_BY_CODE | _PASSING_BY_CODE).get(error_code(error))
    message = message or _by_class(error, _BY_CLASS | _PASSING_BY_CLASS)
    message = message or _PASSING_BY_NUMBER.get(error_number(error))
    if not message and _BROKEN_OFF_IN_TEXT.search(str(error)):
        message = _BROKEN_OFF
    if message:
        return message.format(endpoint=_endpoint())
    if isinstance(error, FileNotFoundError):
        return "it doesn't exist"
    if isinstance(error, PermissionError):
        return "permission denied; check the credentials or the file's mode"
    text = " ".join(_COLOR.sub("", str(error)).split())
    return _without_secrets(text or type(error).__name__)


def error_code(error: BaseException | None) -> str:
    """The store's own code of an error, such as ``NoSuchBucket``; empty if it gave none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        match = _CODE_IN_TEXT.search(str(error))
        if match:
            return match[1]
        error = error.__cause__
    return ""


def error_number(error: BaseException | None) -> int:
    """The system's number of an error, such as `errno.ENOSPC`; 0 if it gave none."""
    if error_code(error):  # a store's own error, to which its client gave a number that tells nothing
        return 0
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        in_text = _NUMBER_IN_TEXT.search(str(error))
        if in_text:
            return int(in_text[1])
        error = error.__cause__
    return 0


def _by_class(error: BaseException, lines: dict[str, str]) -> str:
    """The line for the class of an error, or of what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        for kind in type(cause).__mro__:
            if kind.__name__ in lines:
                return lines[kind.__name__]
        cause = cause.__cause__
    return ""


def _endpoint() -> str:
    parts = urlsplit(s3_endpoint())
    if not parts.hostname:
        return "the store"
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _without_secrets(text: str) -> str:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        secret = os.environ.get(name)
        if secret:
            text = text.replace(secret, "…")
    return redacted(text)
