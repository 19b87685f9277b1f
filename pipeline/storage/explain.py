"""What went wrong with a store, in one line that a user can act on and that holds no secret."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.errors import InputError
from pipeline.storage.connection import ATTEMPTS, READ_TIMEOUT_S, s3_endpoint

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
"""The Delta library colours its messages."""

_THROTTLED = (
    f"the store is throttling: it refused {ATTEMPTS} times in a row (%s); try again later, or with less "
    "work at a time"
)

_DENIED = "permission denied; check what the credentials allow"

_BY_CODE = {
    "NoSuchBucket": "there is no such bucket; check its name, the endpoint and the region, or create it",
    "NoSuchKey": "it doesn't exist",
    "404": "it doesn't exist",
    "InvalidAccessKeyId": "the store doesn't know the access key; check AWS_ACCESS_KEY_ID and the endpoint",
    "SignatureDoesNotMatch": "the secret key is not the access key's; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session's token has expired; get new credentials",
    "RequestExpired": "the session's token has expired; get new credentials",
    "TokenRefreshRequired": "the session's token has expired; get new credentials",
    "InvalidToken": "the session's token is not valid; check AWS_SESSION_TOKEN, or unset it",
    "InvalidClientTokenId": "the session's token is not valid; check AWS_SESSION_TOKEN, or unset it",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the store's; set it",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION and AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "the region is not the bucket's; set AWS_REGION and AWS_DEFAULT_REGION",
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "403", "Forbidden"), _DENIED),
    **{
        code: _THROTTLED % code
        for code in ("SlowDown", "ServiceUnavailable", "503", "Throttling", "ThrottlingException")
    },
}

_BY_CLASS = {
    **dict.fromkeys(
        ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"),
        "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role of the cloud",
    ),
    **dict.fromkeys(
        ("CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
        "the credentials can't be had or have expired; log in to the cloud again",
    ),
    **dict.fromkeys(
        ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"),
        "no connection to {endpoint}; check AWS_ENDPOINT_URL and that the store is up",
    ),
    **dict.fromkeys(
        ("ReadTimeoutError", "AioReadTimeoutError"),
        f"{{endpoint}} gave no answer for {READ_TIMEOUT_S} s, {ATTEMPTS} times in a row; check the store",
    ),
    **dict.fromkeys(
        ("ConnectionClosedError", "ResponseStreamingError", "ClientPayloadError", "IncompleteReadError"),
        "{endpoint} broke the connection off again and again; check the store and the network",
    ),
}


@contextlib.contextmanager
def explained(action: str, uri: str) -> Iterator[None]:
    """Turn whatever a store's client raises into one line that names the URI.

    Raises
    ------
    InputError
        In the place of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"cannot {action} {uri}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Why a store's call failed, and what to do about it; of one line, without secrets."""
    known = _BY_CODE.get(error_code(error)) or _by_class(error)
    if known:
        return known.format(endpoint=_endpoint())
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
        error = error.__cause__
    return ""


def _by_class(error: BaseException) -> str:
    return next((_BY_CLASS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_CLASS), "")


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
    return text
