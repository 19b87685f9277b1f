"""The log as lines of JSON, for machines that gather logs: events, warnings, and what libraries log."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

LOG = "TUNINGFORK_LOG"
"""Set to ``json``, this variable makes all messages lines of JSON, for machines that gather logs."""

_EVENTS = logging.getLogger("tuningfork")


def log_event(event: str, /, **facts: Any) -> None:
    """Where logs are JSON, print one line of it: what happened, when, and the facts of it.

    A fact that is named as a field of every line, such as ``time``, is written as ``time_``.
    """
    if logs_json():
        _EVENTS.info(event, extra={"facts": facts})


def logs_json() -> bool:
    """Whether messages are lines of JSON."""
    return os.environ.get(LOG) == "json"


class _JsonLines(logging.StreamHandler[Any]):
    """Writes records as lines of JSON to what standard output is at that moment.

    Attributes
    ----------
    run
        That this process carries out; part of every line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.run: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": now, "level": record.levelname.lower(), "event": "log"}
        if self.run is not None:
            line["run"] = self.run
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        facts = getattr(record, "facts", None)
        if facts is None:
            line |= {"logger": record.name, "message": record.getMessage()}
        else:
            line["event"] = record.msg
            line |= {f"{name}_" if name in line else name: value for name, value in facts.items()}
        return _valid_json(line)

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):  # nobody reads on: that ends the verb
            raise
        super().handleError(record)


def _valid_json(line: dict[str, Any]) -> str:
    """A line of JSON; what is no number there, such as NaN, is null."""
    try:
        return json.dumps(line, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(line, default=str), parse_constant=lambda _: None))


_HANDLER = _JsonLines()
_EVENTS.addHandler(_HANDLER)
_EVENTS.setLevel(logging.INFO)
_EVENTS.propagate = False


@contextlib.contextmanager
def json_log() -> Iterator[None]:
    """Where logs are JSON, make warnings, and what libraries log, lines of it too."""
    if not logs_json():
        yield
        return
    root = logging.getLogger()
    root.addHandler(_HANDLER)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(_HANDLER)
        _HANDLER.run = None


def log_of_run(run: str) -> None:
    """From now on name the run in every line of JSON."""
    _HANDLER.run = run


def take_over(library: str) -> None:
    """Where logs are JSON, have a library that prints its log itself leave that to `json_log`."""
    if logs_json():
        logger = logging.getLogger(library)
        logger.handlers.clear()
        logger.propagate = True
