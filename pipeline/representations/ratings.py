"""Ratings of galaxies by researchers: a small file that only grows, one line of JSON for each rating."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import storage
from pipeline.config import StrictModel, validate
from pipeline.errors import HeldError, InputError

MOST = 5
"""The best rating; the least is 0."""


class Rating(StrictModel):
    """A line of the file.

    Attributes
    ----------
    object_id
        Of the galaxy.
    rating
        From 0, of no interest, to 5.
    rater
        Who rated; where nobody is named, the file stands for the person.
    time
        When, in UTC.
    """

    object_id: str
    rating: int = Field(ge=0, le=MOST, strict=True)
    rater: str = ""
    time: str = ""


@dataclass(frozen=True)
class Ratings:
    """Galaxies that were rated, and each one's rating: the mean over those who rated it."""

    ids: tuple[str, ...]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


def read_ratings(uris: Sequence[str]) -> Ratings:
    """Read files of ratings, of one person or several.

    Of a person's ratings of one galaxy the last counts. A last line that was cut off is passed over.

    Raises
    ------
    InputError
        If a file can't be read, or a line isn't a rating from 0 to 5.
    """
    last: dict[str, dict[str, int]] = {}
    for uri in uris:
        for rating in _parsed(storage.read_bytes(uri), uri):
            last.setdefault(rating.object_id, {})[rating.rater or uri] = rating.rating
    means = [float(np.mean(list(by_rater.values()))) for by_rater in last.values()]
    return Ratings(tuple(last), np.array(means))


def _parsed(data: bytes, uri: str) -> Iterator[Rating]:
    *lines, rest = data.split(b"\n")
    for number, line in enumerate([*lines, rest], 1):
        if not line.strip():
            continue
        place = f"{uri}, line {number}"
        try:
            values = json.loads(line)
        except ValueError as error:
            if number > len(lines):
                return
            raise InputError(
                f"{place} is no JSON; expected a rating, such as " + '{"object_id": "…", "rating": 3}'
            ) from error
        if not isinstance(values, dict):
            raise InputError(f"{place} is {values!r}; expected an object with object_id and rating")
        rating = values.get("rating")
        if not (type(rating) is int and 0 <= rating <= MOST):
            raise InputError(
                f"{place}: the rating of galaxy {values.get('object_id')!r} is {rating!r}; expected a whole "
                f"number from 0 to {MOST}"
            )
        yield validate(Rating, values, place)


class Session:
    """A file of ratings that is being added to, by one process at a time.

    Each rating is on disk when `rate` returns; what a kill cut off is removed when the file is opened again.
    """

    def __init__(self, path: Path, descriptor: int, rater: str) -> None:
        self._path, self._descriptor, self._rater = path, descriptor, rater

    def rate(self, object_id: str, rating: int) -> None:
        """Add a rating.

        Raises
        ------
        InputError
            If it isn't one from 0 to 5.
        """
        if not (type(rating) is int and 0 <= rating <= MOST):
            raise InputError(f"a rating is {rating!r}; expected a whole number from 0 to {MOST}")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = Rating(object_id=object_id, rating=rating, rater=self._rater, time=now).model_dump_json()
        os.write(self._descriptor, line.encode() + b"\n")
        os.fsync(self._descriptor)

    def ratings(self) -> Ratings:
        """What was rated so far."""
        return read_ratings([str(self._path)])


@contextlib.contextmanager
def open_session(path: Path, rater: str = "") -> Iterator[Session]:
    """Open a file of ratings to add to it; it is made if it isn't there.

    Raises
    ------
    HeldError
        If another process has it open.
    InputError
        If what it holds aren't ratings.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HeldError(f"{path} is open in another session; end that, or name another output") from error
        data = path.read_bytes()
        list(_parsed(data, str(path)))
        _mend_end(descriptor, data)
        yield Session(path, descriptor, rater)
    finally:
        os.close(descriptor)


def _mend_end(descriptor: int, data: bytes) -> None:
    """End the file with a whole line."""
    rest = data.rpartition(b"\n")[2]
    if not rest:
        return
    try:
        json.loads(rest)
    except ValueError:
        os.ftruncate(descriptor, len(data) - len(rest))
    else:
        os.write(descriptor, b"\n")
