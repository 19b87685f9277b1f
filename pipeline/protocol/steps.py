"""Protocols as generators: they yield instructions, are sent the answers, and do nothing themselves.

A protocol decides and whoever carries it out acts. `perform` acts on a real store; a simulation carries out
the same protocols on a simulated one, several at once, in any order, and ends them at any instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Instruction(Generic[Answer]):
    """What a protocol wants done. ``answer = yield from instruction`` asks for it and waits."""

    def __iter__(self) -> Generator[Instruction[Any], Any, Answer]:
        """Yield itself, and return what is sent."""
        answer: Answer = yield self
        return answer


Steps = Generator[Instruction[Any], Any, Answer]
"""A protocol as a generator: it yields instructions, is sent their answers, and returns its own answer."""

Handlers = Mapping[type[Instruction[Any]], Callable[[Any], Any]]
"""The function that carries out an instruction, for each kind of instruction; it returns the answer."""


def perform(steps: Steps[Answer], handlers: Handlers) -> Answer:
    """Carry out a protocol to its end.

    What a handler raises is raised in the protocol, at the instruction, so that it can clean up; even an
    interrupt of the whole process.

    Parameters
    ----------
    handlers
        Carry out every instruction that the protocol yields.

    Returns
    -------
    Answer
        What the protocol returns.
    """
    answer: Any = None
    problem: BaseException | None = None
    while True:
        try:
            instruction = steps.send(answer) if problem is None else steps.throw(problem)
        except StopIteration as end:
            ended: Answer = end.value
            return ended
        answer = problem = None
        try:
            answer = handlers[type(instruction)](instruction)
        except BaseException as error:  # noqa: BLE001 (it goes on, into the protocol)
            problem = error
