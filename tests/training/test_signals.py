"""What must not be cut in two by signals: they wait, none is hidden by another, and handlers come back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.training.signals import signals_held

ENDING = (signal.SIGINT, signal.SIGTERM)


class Ended(BaseException):
    """Raised by a handler."""


def end(number: int, frame: object) -> None:
    raise Ended(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of an application that ends by them."""
    before = {number: signal.signal(number, end) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_waits_until_the_block_is_done(number: int) -> None:
    done = []
    with pytest.raises(Ended) as ended, signals_held():  # noqa: PT012 (what comes after is the point)
        signal.raise_signal(number)
        done.append(number)
    assert ended.value.args == (number,)
    assert done == [number]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_comes_while_handlers_are_put_back_leaves_none_behind(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = signal.signal

    def put_and_come(which: int, handler: Any) -> Any:
        before = put(which, handler)
        if which == number and handler is end:
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", put_and_come)
    with pytest.raises(Ended), signals_held():
        pass
    monkeypatch.undo()
    assert [signal.getsignal(which) for which in ENDING] == [end, end]


def test_an_error_of_the_block_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ValueError, match="the block's own"), signals_held():  # noqa: PT012 (as above)
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("the block's own")
    assert [signal.getsignal(which) for which in ENDING] == [end, end]
