"""Read a decision tree from YAML."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipeline.config import CONFIGS, StrictModel, load_config
from pipeline.errors import InputError
from pipeline.tree.decision_tree import Answer, DecisionTree, MorphologyClass, Question

GALAXY_ZOO_2 = CONFIGS / "trees" / "galaxy_zoo_2.yaml"
"""The tree of Galaxy Zoo 2 (Willett et al. 2013)."""


class _AnswerFile(StrictModel):
    key: str = Field(pattern=r"^\w+$")
    text: str
    next: str | None


class _QuestionFile(StrictModel):
    key: str = Field(pattern=r"^\w+$")
    text: str
    answers: list[_AnswerFile]
    always_asked: bool = False


class _ClassFile(StrictModel):
    name: str
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    answers: list[str] = Field(min_length=1)


class _TreeFile(StrictModel):
    name: str
    reference: str = ""
    questions: list[_QuestionFile]
    classes: list[_ClassFile] = Field(default_factory=list)


def load_tree(path: str | Path = GALAXY_ZOO_2) -> DecisionTree:
    """Read a decision tree from a YAML file (see ``configs/trees/galaxy_zoo_2.yaml`` for the layout).

    Raises
    ------
    InputError
        If the file can't be read or the tree isn't sound: a loop, a dead end, a name used twice.
    """
    file = load_config(_TreeFile, path)
    tree = DecisionTree(
        name=file.name,
        questions=tuple(
            Question(
                key=question.key,
                text=question.text,
                answers=tuple(Answer(a.key, a.text, a.next) for a in question.answers),
                always_asked=question.always_asked,
            )
            for question in file.questions
        ),
        classes=tuple(MorphologyClass(c.name, c.color, frozenset(c.answers)) for c in file.classes),
        reference=file.reference,
    )
    problems = tree.problems()
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    return tree
