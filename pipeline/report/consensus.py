"""What the page of a consensus shows: users' skill, agreement, hard questions, and how long galaxies took."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
from numpy.typing import NDArray

from pipeline.report.document import Figure, Section, Table
from pipeline.report.palette import BLUE, GREEN, ORANGE, VERMILION, plot_style
from pipeline.volunteers.overview import Agreement, Users

_COLORS = (BLUE, ORANGE, VERMILION)
_PERCENTILES = (10, 50, 90, 100)


def consensus_sections(
    users: Sequence[Users],
    agreements: Sequence[Agreement],
    looks: NDArray[np.int64],
    days: NDArray[np.float64],
) -> list[Section]:
    """Sections for `write_document`.

    Parameters
    ----------
    looks, days : ndarray, shape (galaxies,)
        Of each galaxy, how many people looked, and in how many days.
    """
    votes = max(sum(kind.votes for kind in users), 1)
    kinds = Table(
        "users",
        "Users by what their votes are most probably like. The weight is Galaxy Zoo 2’s, a mean over votes.",
        ["kind", "users", "votes", "share of the votes", "median consistency", "weight"],
        [
            [
                kind.kind,
                kind.users,
                kind.votes,
                kind.votes / votes,
                float(np.median(kind.consistency)) if kind.users else None,
                kind.weight if kind.users else None,
            ]
            for kind in users
        ],
    )
    hardest = Table(
        "questions",
        "Questions, the hardest first: agreement is 1 where all say the same and 0 where all answers are as "
        "frequent; leading is the mean share of the most frequent answer.",
        ["question", "galaxies", "agreement", "leading", "votes"],
        [[one.question, one.galaxies, one.agreement, one.leading, one.votes] for one in agreements],
    )
    return [
        Section(
            "Users",
            "A careful user says what there is to see, a careless one anything, a contrary one the rest. "
            "Consistency is how far a user’s votes agree with those of others on the same galaxies.",
            [
                Figure.of_both_widths(
                    "skill", "Users by their consistency.", functools.partial(_skill, users)
                ),
                kinds,
            ],
        ),
        Section(
            "Agreement, and the hardest questions",
            "Of each question, galaxies of which at least half of all people would be asked it.",
            [
                Figure.of_both_widths(
                    "agreement", "Mean agreement on each question.", functools.partial(_agreement, agreements)
                ),
                hardest,
            ],
        ),
        Section(
            "Time to retirement",
            "A galaxy is retired when enough people have looked at it.",
            [
                Figure.of_both_widths(
                    "days",
                    "Galaxies whose last look so far came within so many days.",
                    functools.partial(_days, days),
                ),
                _times(looks, days),
            ],
        ),
    ]


def _times(looks: NDArray[np.int64], days: NDArray[np.float64]) -> Table:
    return Table(
        "times",
        "Looks at a galaxy, and days from the first to the last: so many at most of 10 % of the galaxies, "
        "of half, of 90 %, and of all.",
        ["", "10 %", "50 %", "90 %", "all"],
        [
            [name, *(float(value) for value in np.percentile(values, _PERCENTILES))]
            for name, values in (("looks", looks), ("days", days))
        ],
    )


def _skill(users: Sequence[Users], inches: float) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(inches, 3))
        axes = figure.subplots()
        axes.hist(
            [kind.consistency for kind in users],
            bins=np.linspace(0, 1, 41).tolist(),
            stacked=True,
            color=list(_COLORS),
            label=[kind.kind for kind in users],
        )
        least = min((kind.consistency.min() for kind in users if kind.users), default=0.0)
        axes.set(xlabel="consistency", ylabel="users", xlim=(np.floor(10 * least) / 10, 1))
        figure.legend(loc="outside upper center", ncols=len(users))
    return figure


def _agreement(agreements: Sequence[Agreement], inches: float) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(inches, 0.34 * len(agreements) + 0.8))
        axes = figure.subplots()
        names = [one.question.replace("_", " ") for one in agreements]
        axes.barh(names, [one.agreement for one in agreements], color=GREEN)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set(xlim=(0, 1), xlabel="agreement")
    return figure


def _days(days: NDArray[np.float64], inches: float) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(inches, 3))
        axes = figure.subplots()
        percent = np.linspace(0, 100, 201)
        axes.plot(np.percentile(days, percent), percent / 100, color=BLUE)
        axes.set(xlabel="days from the first look to the last", ylabel="share of the galaxies", ylim=(0, 1))
        axes.set_xlim(left=0)
    return figure
