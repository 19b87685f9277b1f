"""What a run tells about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import InputError


@dataclass(frozen=True)
class RunCounts:
    """How the input rows of a run ended: each is classified or quarantined.

    Attributes
    ----------
    classified
        Rows that the run gave their answers.
    quarantined_by_reason
        Rows that could not be read, by the short reason code of the quarantine.
    """

    classified: int
    quarantined_by_reason: Mapping[str, int]

    @property
    def quarantined(self) -> int:
        """All quarantined rows."""
        return sum(self.quarantined_by_reason.values())


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run that its report states.

    Attributes
    ----------
    title
        What was classified, in words: "Hubble deep field".
    run, input, weights, network
        Name of the run, URI of its input, sha256 or name of the weight file, name of the network.
    transforms
        Views of each galaxy whose answers were averaged.
    seconds
        Wall-clock time of the run.
    started
        ISO 8601 date and time.
    versions
        Software by name: ``{"tuningfork": "0.1.0", …}``.
    limits
        What the weights are not good for, one sentence each, from their card.
    """

    title: str
    run: str
    input: str
    weights: str
    network: str
    transforms: int
    counts: RunCounts
    seconds: float
    started: str
    versions: Mapping[str, str]
    limits: tuple[str, ...] = ()

    def started_at(self) -> datetime:
        """`started` as a date.

        Raises
        ------
        InputError
            If it isn't ISO 8601.
        """
        try:
            return datetime.fromisoformat(self.started)
        except ValueError as error:
            raise InputError(
                f"the run's start is {self.started!r}; expected ISO 8601 like 2031-05-09T14:03:00+00:00"
            ) from error

    def rate(self) -> float | None:
        """Galaxies classified per second; None for a run that took no time."""
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            return None
        return self.counts.classified / self.seconds
