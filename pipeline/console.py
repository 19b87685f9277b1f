"""What a person sees while a job runs: one message a line on standard output, progress on standard error."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline.logs import log_event, logs_json

_LOG_EVERY_SECONDS = 15.0


def say(message: str) -> None:
    """Print one message; as an event where logs are JSON."""
    if logs_json():
        log_event("message", message=message)
    else:
        print(message, flush=True)


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} {self._unit}/s", style="cyan")


@contextlib.contextmanager
def progress(
    label: str, total: int, unit: str = "galaxies", done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show how far a job is, with its rate and the time left.

    On a terminal this is a bar; elsewhere a line at times, so that logs stay short. `done` items were done
    before and don't count towards the rate.

    Yields
    ------
    callable
        To be called with the number of items done since the last call.
    """
    if logs_json():
        yield lambda count: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line_logger(console, label, total, unit, done)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def _line_logger(console: Console, label: str, total: int, unit: str, before: int) -> Callable[[int], None]:
    started = last = time.monotonic()
    done = before

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= _LOG_EVERY_SECONDS or done >= total > done - count:
            last = now
            rate = (done - before) / max(now - started, 1e-9)
            left = (total - done) / max(rate, 1e-9)
            console.print(
                f"{label}: {done:,} of {total:,} {unit}, {rate:,.1f} {unit}/s so far, {left:,.0f} s left",
                highlight=False,
                soft_wrap=True,
            )

    return advance
