"""How a verb ends: its exit status, and one line on standard error if it isn't done."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import typer

from pipeline.errors import HeldError, InputError, RunError, redacted
from pipeline.logs import json_log
from pipeline.streaming.process import end_all

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """A signal asked the process to end; no failure, so that no one handles it on its way up.

    Attributes
    ----------
    status
        The exit status: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(self.status)


def exit_status(verb: Callable[[], int | None]) -> int:
    """Call a verb; 0 done, 1 failure, 2 bad input or usage, 3 output held by someone else.

    128 and the signal's number if one ended it, as shells have it; SIGPIPE if nobody reads what it prints.
    """
    with _signals_taken(), json_log():
        try:
            status = verb() or 0
            sys.stdout.flush()
            return status
        except InputError as error:
            return _complain(str(error), 2)
        except RunError as error:
            return _complain(str(error), 1)
        except HeldError as error:
            return _complain(str(error), 3)
        except typer.TyperException as error:
            return _complain(error.format_message(), error.exit_code or 1)
        except Interrupted as error:
            return _complain("interrupted; the same command continues", error.status)
        except (BrokenPipeError, SystemExit) as error:
            # Typer exits with 1, having silenced the streams.
            if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
                raise
            return 128 + signal.SIGPIPE
        except OSError as error:
            return _trouble(error)


def _trouble(error: OSError) -> int:
    """Tell of a full disk and the like, wherever it was met."""
    from pipeline import storage

    if not storage.is_passing(error):
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return _complain(f"{where}{storage.reason(error)}", 1)


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"tuningfork: {redacted(' '.join(message.split()))}\n")
    return status


@contextlib.contextmanager
def _signals_taken() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `Interrupted` in the main thread; one that is ignored stays so."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # `timeout` and terminals send a signal more than once: a second one must not break the giving back.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    # One line is still to come, on standard error; a thread of Ray's would print more, of all that ends now.
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    end_all()  # threads may wait for what a child reads, and the process for its threads
    raise Interrupted(number)
