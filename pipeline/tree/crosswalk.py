"""Which answers of another decision tree stand for which of ours, as data: ``configs/crosswalks``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipeline.config import StrictModel, load_config
from pipeline.errors import InputError
from pipeline.tree.decision_tree import DecisionTree
from pipeline.tree.fractions import Fraction


class Match(StrictModel):
    """Answers that together stand for each other.

    Attributes
    ----------
    theirs, ours
        Answers of the other tree's question and of ours; more than one where that tree divides more finely.
    """

    theirs: tuple[str, ...] = Field(min_length=1)
    ours: tuple[str, ...] = Field(min_length=1)


class QuestionMatch(StrictModel):
    """A question that both trees ask.

    Attributes
    ----------
    theirs, ours
        Its name in either tree.
    answers
        Which of its answers stand for which.
    note
        What a reader has to know who compares them.
    """

    theirs: str
    ours: str
    answers: tuple[Match, ...] = Field(min_length=1)
    note: str = ""


class WithoutMatch(StrictModel):
    """A question of the one tree that has none in the other, and why."""

    theirs: str = ""
    ours: str = ""
    note: str


class Crosswalk(StrictModel):
    """From the answers of a tree of ours to the names of another survey's catalogue.

    Attributes
    ----------
    name, title
        A word for it, and what people call the other survey.
    tree
        Name of our tree.
    questions
        What both ask.
    without_match
        What only one asks.
    """

    name: str
    title: str
    tree: str
    questions: tuple[QuestionMatch, ...]
    without_match: tuple[WithoutMatch, ...] = ()

    def fractions(self) -> tuple[Fraction, ...]:
        """Their columns that ours can fill: ``<question>_<answer>_fraction``.

        An answer that they divide and we don't has none.
        """
        return tuple(
            Fraction(f"{question.theirs}_{match.theirs[0]}_fraction", question.ours, match.ours)
            for question in self.questions
            for match in question.answers
            if len(match.theirs) == 1
        )


def load_crosswalk(path: str | Path, tree: DecisionTree) -> Crosswalk:
    """Read a crosswalk from a YAML file (see ``configs/crosswalks/galaxy_zoo_decals.yaml`` for the layout).

    Raises
    ------
    InputError
        If the file can't be read, is for another tree, or doesn't account for each question and answer once.
    """
    walk = load_config(Crosswalk, path)
    if walk.tree != tree.name:
        raise InputError(f"{path} is of the tree {walk.tree!r}, and the catalogue's is {tree.name!r}")
    asked = [question.ours for question in walk.questions] + [w.ours for w in walk.without_match if w.ours]
    keys = [question.key for question in tree.questions]
    _check_each_once(path, f"the questions of {tree.name}", asked, keys)
    answers = {question.key: [answer.key for answer in question.answers] for question in tree.questions}
    for question in walk.questions:
        matched = [key for match in question.answers for key in match.ours]
        _check_each_once(path, f"the answers to {question.ours}", matched, answers[question.ours])
    return walk


def _check_each_once(path: str | Path, what: str, named: list[str], wanted: list[str]) -> None:
    if sorted(named) != sorted(wanted):
        odd = sorted(set(named) ^ set(wanted)) or sorted({key for key in named if named.count(key) > 1})
        raise InputError(f"{path} doesn't name each of {what} once: look at {odd[0]!r}")
