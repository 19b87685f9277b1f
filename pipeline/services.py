"""Services that record trainings and runs. A service that fails is reported once, and ends nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from pipeline.console import say
from pipeline.errors import redacted

P = ParamSpec("P")


@dataclass
class Service:
    """A service that records trainings or runs, as far as it can: no training or run fails with it.

    Attributes
    ----------
    name
        As a message has it, with what sets it up.
    extra
        Extra of this package that installs its client.
    is_set_up
        Whether the user has set it up.
    failed
        Whether it has failed in this process; it is then not called again.
    """

    name: str
    extra: str
    is_set_up: Callable[[], bool]
    failed: bool = False

    @property
    def is_active(self) -> bool:
        """Whether what is recorded reaches it: it is set up, and hasn't failed."""
        return not self.failed and self.is_set_up()

    def best_effort(self, record: Callable[P, None]) -> Callable[P, None]:
        """Decorate a function that records something: it is skipped where the service isn't active.

        Whatever it raises marks the service as failed, and the user gets one line about it.
        """

        @functools.wraps(record)
        def attempt(*arguments: P.args, **named: P.kwargs) -> None:
            if not self.is_active:
                return
            try:
                record(*arguments, **named)
            except Exception as error:  # noqa: BLE001 (stores and servers of all kinds are behind it)
                self.failed = True
                trouble = (
                    f'it isn\'t installed: pip install "tuningfork[{self.extra}]"'
                    if isinstance(error, ModuleNotFoundError)
                    else redacted(" ".join(str(error).split())[:300] or type(error).__name__)
                )
                say(f"Nothing more is recorded in {self.name}: {trouble}")

        return attempt
