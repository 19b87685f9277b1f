"""Services that are told of trainings and runs: what goes wrong there is said once, and ends nothing."""

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
    """One service; a run is worth more than what is recorded of it there.

    Attributes
    ----------
    name
        As a message has it, with what sets it up.
    extra
        Of this package, by which its client is installed.
    is_set_up
        Whether anything is to be told.
    given_up
        Whether it has failed in this process, and is told nothing more.
    """

    name: str
    extra: str
    is_set_up: Callable[[], bool]
    given_up: bool = False

    @property
    def listens(self) -> bool:
        """Whether it is worth gathering what it would be told."""
        return not self.given_up and self.is_set_up()

    def told(self, tell: Callable[P, None]) -> Callable[P, None]:
        """Do nothing where the service isn't set up, nor after it has failed; say so then, and go on."""

        @functools.wraps(tell)
        def forgiving(*arguments: P.args, **named: P.kwargs) -> None:
            if not self.listens:
                return
            try:
                tell(*arguments, **named)
            except Exception as error:  # noqa: BLE001 (stores and servers of all kinds are behind it)
                self.given_up = True
                trouble = (
                    f'it isn\'t installed: pip install "tuningfork[{self.extra}]"'
                    if isinstance(error, ModuleNotFoundError)
                    else redacted(" ".join(str(error).split())[:300] or type(error).__name__)
                )
                say(f"Nothing more is recorded in {self.name}: {trouble}")

        return forgiving
