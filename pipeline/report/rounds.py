"""What the page of people and machine shows: who settled what, round by round, and the work saved."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pipeline.report.document import NARROW_INCHES, Figure, Section, Table, write_document
from pipeline.report.palette import BLUE, GREEN, LINE, ORANGE, SOFT, plot_style
from pipeline.tree import DecisionTree
from pipeline.volunteers.rounds import Round

_SHOWN = (
    ("network", "network", BLUE),
    ("people", "people", GREEN),
    ("both", "both together", ORANGE),
    ("open", "open", LINE),
)


def saved(one: Round, votes_each: int) -> int:
    """Classifications that people needn't give, against every galaxy being looked at so often."""
    return max(one.galaxies * votes_each - one.classifications, 0)


def write_rounds(output: str, tree: DecisionTree, rounds: Sequence[Round], votes_each: int) -> str:
    """Write the page; its URI."""
    one = rounds[-1]
    return write_document(
        output,
        "People and machine",
        f"After round {one.number}, {one.done:,} of {one.galaxies:,} galaxies are done. "
        f"People go on looking at {one.for_people:,}; {one.for_experts:,} are for experts.",
        round_sections(tree, rounds, votes_each),
        facts=[
            (f"{one.settled / max(one.settled + one.count('open'), 1):.1%}", "of the answers settled"),
            (f"{one.done:,}", "galaxies done"),
            (f"{one.classifications:,}", "classifications so far"),
            (f"{one.to_come:,}", "still to come"),
            (f"{saved(one, votes_each):,}", "classifications saved"),
            (f"{one.labels:,}", "galaxies to learn from"),
        ],
    )


def round_sections(tree: DecisionTree, rounds: Sequence[Round], votes_each: int) -> list[Section]:
    """Sections for `write_document`, the newest round first."""
    last = rounds[-1]
    rows = []
    for question in tree.questions:
        states = last.answers[question.key]
        asked = sum(states[state] for state, *_ in _SHOWN)
        settled = asked - states["open"]
        rows.append(
            [
                question.key,
                asked,
                settled / asked if asked else None,
                *(states[state] for state, *_ in _SHOWN),
            ]
        )
    by_question = Table(
        "settled",
        "Galaxies that at least half of the volunteers would be asked the question of, and who settled the "
        "answer.",
        ["question", "asked", "settled", *(name for _, name, _ in _SHOWN)],
        rows,
    )
    history = Table(
        "rounds",
        f"All rounds. Saved is against every galaxy being looked at by {votes_each} people.",
        [
            "round",
            "written",
            "classifications",
            "saved",
            "done",
            "for people",
            "for experts",
            "labels",
            "weights",
        ],
        [
            [
                str(one.number),
                one.written,
                one.classifications,
                saved(one, votes_each),
                one.done,
                one.for_people,
                one.for_experts,
                one.labels,
                one.weights[:8],
            ]
            for one in reversed(rounds)
        ],
    )
    text = (
        "An answer is settled once it is probable enough that most volunteers would give it, and no further "
        "look is worth its price. “Network” means that its answer was as sure as that before anyone voted, "
        "“people” that the votes alone would do, and “both together” that neither alone would."
    )
    return [
        Section(
            "Who settled what",
            text,
            [
                Figure.of_both_widths("by_question", by_question.caption, functools.partial(_bars, rows)),
                by_question,
            ],
        ),
        Section(
            "Round by round",
            "Every round reads the catalogue and the votes as they are then. With new weights the network "
            "settles more by itself, and people are asked where it is unsure.",
            [
                Figure.of_both_widths(
                    "rounds",
                    "Answers by who settled them, against the classifications so far.",
                    functools.partial(_history, rounds),
                ),
                history,
            ],
        ),
    ]


def _bars(rows: Sequence[Sequence[object]], inches: float) -> matplotlib.figure.Figure:
    """Shares of each question's galaxies by who settled them; ``rows`` as the table has them."""
    counts = np.array([row[3:] for row in rows], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(inches, 0.34 * len(rows) + 1.2))
        axes = figure.subplots()
        left = np.zeros(len(rows))
        for (_, name, color), column in zip(_SHOWN, shares.T, strict=True):
            axes.barh(
                [str(row[0]).replace("_", " ") for row in rows], column, left=left, color=color, label=name
            )
            left += column
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set(xlim=(0, 1), xlabel="share of the galaxies asked")
        _name_states(figure, inches)
    return figure


def _history(rounds: Sequence[Round], inches: float) -> matplotlib.figure.Figure:
    with plot_style():
        figure = matplotlib.figure.Figure(figsize=(inches, 3.3))
        axes = figure.subplots()
        classifications = [one.classifications for one in rounds]
        for state, name, color in _SHOWN:
            line = SOFT if state == "open" else color
            axes.plot(
                classifications,
                [one.count(state) for one in rounds],
                marker="o",
                markersize=4,
                color=line,
                label=name,
            )
        axes.set(xlabel="classifications by people", ylabel="answers")
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(round(inches), integer=True))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        _name_states(figure, inches)
    return figure


def _name_states(figure: matplotlib.figure.Figure, inches: float) -> None:
    """A legend above the plot, in as many columns as there is room for."""
    figure.legend(loc="outside upper center", ncols=len(_SHOWN) if inches > NARROW_INCHES else 2)
