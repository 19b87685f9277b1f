"""Which task of a Zooniverse workflow is which question of the tree, and which button which answer: data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field

from pipeline.config import CONFIGS, StrictModel, load_config
from pipeline.errors import InputError
from pipeline.tree import DecisionTree, Question

GALAXY_ZOO_2_TASKS = CONFIGS / "votes" / "galaxy_zoo_2.yaml"
"""The mapping of a workflow that asks the questions of Galaxy Zoo 2 in its words."""

_MARKUP = re.compile(r"!\[[^\]]*\]\([^)]*\)|<[^>]*>")
"""Pictures in Markdown, which stand before the text of most buttons, and HTML."""


class TaskFile(StrictModel):
    """One task of a workflow.

    Attributes
    ----------
    question
        Key of the tree's question.
    tasks
        The task's names in the workflow's versions, such as ``T0``.
    labels
        What volunteers read, where names differ from version to version.
    answers
        For each answer of the tree the texts of the buttons that mean it, in the order of the buttons.
    """

    question: str
    tasks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    answers: dict[str, tuple[str, ...]]


class MappingFile(StrictModel):
    """A file that maps a workflow to a tree.

    Attributes
    ----------
    workflows
        Ids of the workflows whose classifications are taken; all if none is named.
    subject
        Names of the metadata that hold a subject's `object_id`; the first that is there counts. Where none
        is, it's the Zooniverse's own number.
    tasks
        The tasks that ask the tree's questions.
    ignore
        Names or labels of tasks that ask something else.
    """

    workflows: tuple[int, ...] = ()
    subject: tuple[str, ...] = ("#object_id", "object_id")
    tasks: tuple[TaskFile, ...] = Field(min_length=1)
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task that asks a question: its answers by the text of their buttons, and in the buttons' order."""

    question: str
    by_text: dict[str, str]
    in_order: tuple[str, ...]


@dataclass(frozen=True)
class Mapping:
    """A workflow's tasks by name and by label.

    Attributes
    ----------
    by_name, by_label
        What asks a question of the tree; None for a task that is ignored.
    """

    source: str
    workflows: frozenset[str]
    subject: tuple[str, ...]
    by_name: dict[str, Task | None]
    by_label: dict[str, Task | None]

    def task(self, name: object, label: object) -> Task | None:
        """The task of that name, else of that label; None if it is to be ignored.

        Raises
        ------
        LookupError
            If it is neither mapped nor ignored.
        """
        if isinstance(name, str) and name in self.by_name:
            return self.by_name[name]
        return self.by_label[plain(label)]


def plain(text: object) -> str:
    """A label as it is compared: without pictures, markup and case.

    Examples
    --------
    >>> plain("![smooth.png](https://host/smooth.png) **Smooth** ")
    'smooth'
    """
    words = _MARKUP.sub(" ", str(text)).replace("*", " ").split()
    return " ".join(words).casefold()


def load_mapping(path: str, tree: DecisionTree) -> Mapping:
    """Read a mapping from YAML (see ``configs/votes/galaxy_zoo_2.yaml``).

    Raises
    ------
    InputError
        If the file can't be read, names a question or an answer that the tree doesn't have, or gives two
        tasks one name.
    """
    file = load_config(MappingFile, path)
    questions = {question.key: question for question in tree.questions}
    by_name: dict[str, Task | None] = dict.fromkeys(file.ignore)
    by_label: dict[str, Task | None] = dict.fromkeys(map(plain, file.ignore))
    for entry in file.tasks:
        if entry.question not in questions:
            raise InputError(
                f"{path}: question {entry.question!r} is none of tree {tree.name!r}; expected one of "
                f"{', '.join(questions)}"
            )
        task = _task(entry, questions[entry.question], path)
        _enter(by_name, entry.tasks, task, path)
        _enter(by_label, map(plain, entry.labels), task, path)
    return Mapping(path, frozenset(map(str, file.workflows)), file.subject, by_name, by_label)


def _task(entry: TaskFile, question: Question, path: str) -> Task:
    keys = [answer.key for answer in question.answers]
    by_text: dict[str, str] = {}
    for key, texts in entry.answers.items():
        if key not in keys:
            raise InputError(
                f"{path}: answer {key!r} is none of question {question.key!r}; expected one of "
                f"{', '.join(keys)}"
            )
        by_text |= dict.fromkeys(map(plain, texts), key)
    return Task(question.key, by_text, tuple(entry.answers))


def _enter(tasks: dict[str, Task | None], names: Iterable[str], task: Task, path: str) -> None:
    for name in names:
        if name in tasks:
            raise InputError(f"{path}: task {name!r} appears twice; name it once")
        tasks[name] = task
