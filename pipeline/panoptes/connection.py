"""Requests to Panoptes, the Zooniverse's API, by panoptes-client.

Its objects send a request again whose answer was lost, which makes a subject twice, and wait for ever. So
its client signs in and sends here, each request once and within a time limit, and what comes of it is judged:
done, refused, or unknown. What may be repeated is.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from pipeline.errors import InputError, RunError, redacted
from pipeline.panoptes.credentials import Credentials

ZOONIVERSE = "https://www.zooniverse.org"
ATTEMPTS = 8
"""How often what may be repeated is sent before it counts as failed."""

_CONNECT_SECONDS = 10.0
_LONGEST_PAUSE = 30.0
_LONGEST_REASON = 200
_CONNECTIONS = 64
_MOST_THROTTLED = 200
_MOST_RENEWALS = 6
_THROTTLED = "HTTP status 429"
_SIGNING_IN = ("/oauth/token", "/users/sign_in")


class LostAnswer(Exception):
    """No telling whether a request that must not be repeated was carried out."""


class Refused(InputError):
    """The Zooniverse says no.

    Attributes
    ----------
    status
        Of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What came of a request: the JSON of its body, and the version of what it shows."""

    content: dict[str, Any]
    etag: str


class Connection:
    """A user's or an application's access to Panoptes; any number of threads may use it.

    Parameters
    ----------
    endpoint
        Such as `ZOONIVERSE`.
    patience
        Seconds to wait for an answer.
    """

    def __init__(self, endpoint: str, credentials: Credentials, patience: float = 60.0) -> None:
        self.endpoint = _checked(endpoint)
        self._credentials = credentials
        self._library = _panoptes_client()
        # With an empty name nobody is signed in yet: that would be without a time limit.
        self._client: Any = self._library.Panoptes(endpoint=self.endpoint, username="", password="")
        if credentials.of_client:
            self._client.client_id, self._client.client_secret = credentials.name, credentials.secret
        else:
            self._client.username, self._client.password = credentials.name, credentials.secret
            self._client.client_secret = None
        self._client.session.mount(self.endpoint, _Impatient(patience))
        self._client.session.hooks["response"].append(self._note_signing_in)
        self._plain = requests.Session()
        for scheme in ("https://", "http://"):
            self._plain.mount(scheme, _Impatient(patience))
        self._patience = patience
        self._signing_in = threading.Lock()
        self._signing_status = 0
        self._not_before = 0.0

    def get(self, path: str, **parameters: str | int) -> Answer:
        """Read something.

        Raises
        ------
        Refused
            If there is no such thing, or it may not be seen.
        RunError
            If no answer can be had.
        """
        return self._ask("GET", path, parameters)

    def create(self, path: str, body: dict[str, Any]) -> Answer:
        """Make something, by one request that is never repeated unless it was turned away.

        Raises
        ------
        LostAnswer
            If it may have been made, or not, or may be in a moment.
        Refused
            If it may not be made.
        """
        return self._ask("POST", path, body=body, once=True)

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Ask for something that is the same however often it's asked for, such as a link.

        Raises
        ------
        Refused, RunError
            As `get`.
        """
        return self._ask("POST", path, body=body)

    def put(self, path: str, body: dict[str, Any], etag: str) -> Answer:
        """Change something that is still of this version.

        Raises
        ------
        Refused, RunError
            As `get`.
        """
        return self._ask("PUT", path, body=body, etag=etag)

    def delete(self, path: str, etag: str) -> None:
        """Remove something that is still of this version.

        Raises
        ------
        Refused, RunError
            As `get`.
        """
        self._ask("DELETE", path, etag=etag)

    def send_file(self, address: str, data: bytes, kind: str) -> None:
        """Write a file at an address that Panoptes signed; no credentials go there.

        Raises
        ------
        Refused, RunError
            As `get`.
        """
        where = (
            f"a picture to {urlsplit(address).hostname}"  # the rest of the address lets anyone write there
        )
        headers = {"Content-Type": kind, "x-ms-blob-type": "BlockBlob"}
        for failures in self._attempts():
            response, why = self._tried(lambda: self._plain.put(address, data=data, headers=headers))
            if response is not None and response.status_code < 300:
                return
            if response is not None and _is_final(response):
                raise Refused(f"{where} was refused: {why}", response.status_code)
            failures.append(self._failure(response, why))
        raise RunError(self._gave_up(where, why))

    @contextlib.contextmanager
    def download(self, address: str) -> Iterator[requests.Response]:
        """A file at an address that Panoptes signed, as a stream; no credentials go there.

        Raises
        ------
        RunError
            If it can't be had, or breaks off.
        """
        where = f"a file of {urlsplit(address).hostname}"
        try:
            with self._plain.get(address, stream=True) as response:
                if response.status_code != 200:
                    raise RunError(f"cannot read {where}: HTTP status {response.status_code}; run it again")
                yield response
        except requests.RequestException as error:
            raise RunError(f"cannot read {where}: {self._reason(error)}; run it again") from None

    def _ask(
        self,
        method: str,
        path: str,
        parameters: dict[str, str | int] | None = None,
        body: dict[str, Any] | None = None,
        etag: str | None = None,
        once: bool = False,
    ) -> Answer:
        what, renewals = f"{method} {urlsplit(path).path}", 0

        def send() -> requests.Response:
            answer: requests.Response = self._client.http_request(
                method, path, params=dict(parameters or {}), json=body, etag=etag
            )
            return answer

        for failures in self._attempts():
            token = self._signed_in()
            response, why = self._tried(send)
            if response is not None and response.status_code < 300:
                if (answer := _read(response)) is not None:
                    return answer
                response, why = None, "an answer that is no JSON"
            if response is not None and response.status_code == 401 and renewals < _MOST_RENEWALS:
                self._forget(token)  # it was turned away: even what must not be repeated may be
                renewals += 1
                continue
            if response is not None and _is_final(response):
                raise Refused(self._refusal(what, response), response.status_code)
            if once and response is None:
                raise LostAnswer(f"{what}: {why}")
            failures.append(self._failure(response, why))
        raise RunError(self._gave_up(what, why))

    def _tried(self, send: Callable[[], requests.Response]) -> tuple[requests.Response | None, str]:
        """The answer, None if there is none that tells what became of the request; and what went wrong."""
        try:
            response = send()
        except requests.RequestException as error:
            return None, self._reason(error)
        except (self._library.panoptes.PanoptesAPIException, KeyError, ValueError) as error:
            return None, self._credentials.concealed(str(error))[:_LONGEST_REASON]
        if response.history and response.request.method != response.history[0].request.method:
            raise InputError(
                f"{self.endpoint} sends requests elsewhere, by which a change becomes a look; give the "
                "address that it leads to as endpoint=URL"
            )
        failed = response.status_code >= 500
        return None if failed else response, f"HTTP status {response.status_code}"

    def _signed_in(self) -> str:
        """A token that counts, one for all threads."""
        client = self._client
        with self._signing_in:
            why = ""
            for attempt in range(ATTEMPTS):
                if client.valid_bearer_token():
                    return str(client.bearer_token)
                self._signing_status = 0
                try:
                    if token := client.get_bearer_token():
                        return str(token)
                except requests.RequestException as error:
                    why = self._reason(error)
                except (self._library.panoptes.PanoptesAPIException, KeyError, TypeError, ValueError):
                    why = f"HTTP status {self._signing_status}"
                if self._signing_status in (400, 401, 403, 422):
                    names = " and ".join(self._credentials.variables)
                    raise InputError(f"{self.endpoint} doesn't accept {names}; check them")
                client.bearer_token, client.logged_in = None, False
                time.sleep(_delay(attempt))
        raise RunError(self._gave_up("signing in", why))

    def _note_signing_in(self, response: requests.Response, **options: Any) -> None:
        if urlsplit(response.url).path.endswith(_SIGNING_IN):
            self._signing_status = response.status_code

    def _forget(self, token: str) -> None:
        with self._signing_in:
            if self._client.bearer_token == token:
                self._client.bearer_token, self._client.logged_in = None, False

    def _attempts(self) -> Iterator[list[str]]:
        """One turn for each time that a request may be sent; what is put on the list is what went wrong.

        Being told that it's too much is no failure, unless it never ends.
        """
        failures: list[str] = []
        throttled = 0
        while len(failures) < ATTEMPTS and throttled < _MOST_THROTTLED:
            before = len(failures)
            while (seconds := self._not_before - time.monotonic()) > 0:
                time.sleep(seconds + random.uniform(0, 0.5))  # noqa: S311
            yield failures
            if len(failures) > before and failures[-1] == _THROTTLED:
                failures.pop()
                throttled += 1
            elif len(failures) > before:
                time.sleep(_delay(before))

    def _failure(self, response: requests.Response | None, why: str) -> str:
        """What to put on the list of failures; where the Zooniverse said how long to wait, all threads do."""
        if response is None or response.status_code != 429:
            return why
        asked = response.headers.get("Retry-After", "")
        seconds = float(asked) if asked.isdecimal() else 2.0
        self._not_before = max(self._not_before, time.monotonic() + seconds)
        return _THROTTLED

    def _reason(self, error: requests.RequestException) -> str:
        """What happened, but not as the library says it: that may name an address that lets anyone write."""
        if isinstance(error, requests.Timeout):
            return f"no answer within {self._patience:g} s"
        if isinstance(error, requests.exceptions.SSLError):
            return "its certificate isn't valid"
        if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
            return "it can't be reached, or broke off"
        return type(error).__name__

    def _refusal(self, what: str, response: requests.Response) -> str:
        try:
            reason = "; ".join(str(error.get("message", "")) for error in response.json()["errors"])
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = ""
        reason = self._credentials.concealed(reason)[:_LONGEST_REASON] or "it doesn't say why"
        return f"{self.endpoint} refused {what}: {reason} (HTTP status {response.status_code})"

    def _gave_up(self, what: str, why: str) -> str:
        return (
            f"{self.endpoint}: {what} failed {ATTEMPTS} times in a row ({why}); what is done is kept: run "
            "the same command again later"
        )


class _Impatient(HTTPAdapter):
    """Sends with a time limit, which panoptes-client doesn't set."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        super().__init__(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *rest: Any, **more: Any) -> Any:
        limit = timeout or (min(_CONNECT_SECONDS, self._patience), self._patience)
        return super().send(request, stream, limit, *rest, **more)


def _checked(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if (
        parts.username
        or parts.password
        or not (parts.scheme == "https" or (parts.scheme == "http" and local))
    ):
        raise InputError(
            f"endpoint={redacted(endpoint)}: expected https://HOST, such as {ZOONIVERSE}, without a name or "
            "a password"
        )
    return endpoint.rstrip("/")


def _panoptes_client() -> ModuleType:
    """The library, without the log on standard error that it sets up for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        import panoptes_client
    except ImportError as error:
        raise InputError(
            f"the package panoptes-client is needed ({error}); expected it to be installed: pip install "
            '"tuningfork[zooniverse]"'
        ) from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    library: ModuleType = panoptes_client
    return library


def _read(response: requests.Response) -> Answer | None:
    if not response.content:
        return Answer({}, "")
    try:
        content = response.json()
    except ValueError:
        return None
    return Answer(content, response.headers.get("ETag", "")) if isinstance(content, dict) else None


def _is_final(response: requests.Response) -> bool:
    """Whether it would be the same again; 409: the thing changed in the meantime."""
    return response.status_code not in (408, 409, 425, 429)


def _delay(attempt: int) -> float:
    """Seconds, at random so that threads don't go on in step."""
    return random.uniform(0.1, min(0.4 * 2**attempt, _LONGEST_PAUSE))  # noqa: S311
