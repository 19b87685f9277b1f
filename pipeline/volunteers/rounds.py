"""Rounds of people and machine: what each one found, kept beside the others."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field, ValidationError

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError
from pipeline.volunteers.settlement import STATES

LEAST_LABELS = 200
"""New labels below which a training isn't worth its while."""

LABELS_GROWTH = 0.25
"""By what share of the labels that the weights were made with labels must have grown."""

_BY = {"network": "the network", "people": "people", "both": "both together"}


class Round(StrictModel):
    """What one round found.

    Attributes
    ----------
    number
        From 1.
    written
        When, in UTC (ISO 8601).
    votes, catalogue
        Versions of the two tables that it read; None of a catalogue whose log no longer tells.
    weights
        SHA-256 of the weights that the catalogue was made with.
    galaxies, classifications
        In the catalogue, and of them by people.
    done, for_people, for_experts
        Galaxies of which nothing is open, those that people go on looking at, and those of which something is
        open although no look is worth its price.
    to_come
        How many more looks are expected to be worth theirs.
    labels
        Galaxies whose consensus can be learnt from.
    answers
        Of each question how many galaxies are in each of `STATES`.
    """

    number: int = Field(ge=1)
    written: str
    votes: int
    catalogue: int | None
    weights: str
    galaxies: int
    classifications: int
    done: int
    for_people: int
    for_experts: int
    to_come: int = 0
    labels: int
    answers: dict[str, dict[str, int]]

    def count(self, state: str) -> int:
        """Answers in a state, over all questions."""
        return sum(states[state] for states in self.answers.values())

    @property
    def settled(self) -> int:
        """Answers that are settled, by whomever."""
        return sum(map(self.count, STATES[2:]))

    def in_words(self) -> str:
        """What is settled, as a sentence."""
        by = ", ".join(f"{self.count(state):,} by {name}" for state, name in _BY.items())
        return (
            f"Round {self.number}: {self.settled:,} answers are settled ({by}), {self.count('open'):,} are "
            f"open; {self.done:,} of {self.galaxies:,} galaxies are done"
        )


def now() -> str:
    """The time as rounds tell it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_rounds(output: str) -> list[Round]:
    """The rounds so far, the first one first.

    Raises
    ------
    InputError
        If one can't be read.
    """
    rounds = []
    for file in storage.list_files(storage.join(output, "rounds"), ".json"):
        try:
            rounds.append(Round.model_validate_json(storage.read_bytes(file.uri)))
        except ValidationError as error:
            raise InputError(
                f"{file.uri} is not a round as `tuningfork loop` writes it; remove it, or name another output"
            ) from error
    return sorted(rounds, key=lambda one: one.number)


def write_round(output: str, one: Round) -> None:
    """Add a round; it is done by that.

    Raises
    ------
    HeldError
        If another command has written it meanwhile.
    """
    uri = storage.join(output, "rounds", f"{one.number:06d}.json")
    if not storage.create(uri, one.model_dump_json(indent=1).encode()):
        raise HeldError(
            f"another command has just written round {one.number} of {output}; run this one again"
        )


def labels_before(rounds: list[Round], weights: str) -> int:
    """How many labels there were when these weights were trained: at the last round before they came.

    0 of weights that were there from the first round on.
    """
    first = next((place for place, one in enumerate(rounds) if one.weights == weights), len(rounds))
    return rounds[first - 1].labels if first else 0


def worth_training(labels: int, before: int) -> bool:
    """Whether labels have become so many more that new weights would be better.

    Examples
    --------
    >>> worth_training(150, 0), worth_training(250, 0), worth_training(1_200, 1_000)
    (False, True, False)
    """
    return labels - before >= max(LEAST_LABELS, LABELS_GROWTH * before)
