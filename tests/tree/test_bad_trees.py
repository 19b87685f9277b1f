"""A tree file with a mistake gives one line that names it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.tree import load_tree

SOUND: dict[str, Any] = {
    "name": "fruit",
    "questions": [
        {
            "key": "kind",
            "text": "Which kind?",
            "answers": [
                {"key": "apple", "text": "Apple", "next": "ripe"},
                {"key": "pear", "text": "Pear", "next": "ripe"},
                {"key": "neither", "text": "Neither", "next": None},
            ],
        },
        {
            "key": "ripe",
            "text": "Is it ripe?",
            "answers": [
                {"key": "yes", "text": "Yes", "next": "colour"},
                {"key": "no", "text": "No", "next": None},
            ],
        },
        {
            "key": "colour",
            "text": "Which colour?",
            "answers": [
                {"key": "red", "text": "Red", "next": None},
                {"key": "green", "text": "Green", "next": None},
            ],
        },
    ],
    "classes": [{"name": "Ripe fruit", "color": "#e69f00", "answers": ["ripe_yes"]}],
}


def edited(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def edit(tree: dict[str, Any]) -> None:
        node: Any = tree
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = to

    return edit


def an_answer(question: int, answer: int, next_question: str) -> Callable[[dict[str, Any]], None]:
    return edited("questions", question, "answers", answer, "next", to=next_question)


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "unknown next question": (an_answer(1, 0, "taste"), "ripe/yes leads to unknown question 'taste'"),
    "loop": (an_answer(2, 0, "ripe"), "questions colour, ripe lead back to themselves"),
    "loop to the first question": (an_answer(2, 1, "kind"), "colour, kind, ripe lead back"),
    "a question that leads to itself": (an_answer(2, 1, "colour"), "questions colour lead back"),
    "unreachable": (an_answer(1, 0, "colour"), "'ripe' can't be reached from the first question 'kind'"),
    "question twice": (edited("questions", 2, "key", to="kind"), "question 'kind' appears twice"),
    "answer twice": (
        edited("questions", 1, "answers", 1, "key", to="yes"),
        "question 'ripe' has two answers of the same key",
    ),
    "one answer": (
        lambda tree: tree["questions"][2]["answers"].pop(),
        "question 'colour' has 1 answer(s); expected at least 2",
    ),
    "no questions": (edited("questions", to=[]), "no questions"),
    "class of an unknown answer": (
        edited("classes", 0, "answers", to=["ripe_maybe"]),
        "class 'Ripe fruit' names unknown answer 'ripe_maybe'",
    ),
    "class twice": (lambda tree: tree["classes"].append(tree["classes"][0]), "class 'Ripe fruit' appears"),
    "unknown key": (edited("question", to=[]), "unknown key 'question'; did you mean 'questions'?"),
    "unknown key of an answer": (
        edited("questions", 0, "answers", 0, "nxt", to=None),
        "unknown key 'questions.0.answers.0.nxt'; did you mean 'next'?",
    ),
    "missing key": (lambda tree: tree["questions"][1].pop("text"), "'questions.1.text' is missing"),
    "yes read as a boolean": (
        edited("questions", 1, "answers", 0, "key", to=True),
        "questions.1.answers.0.key=True",
    ),
    "a key that can't be a column": (edited("questions", 0, "key", to="what kind"), "'what kind'"),
    "a colour by name": (edited("classes", 0, "color", to="red"), "classes.0.color='red'"),
}


def write(folder: Path, tree: object) -> Path:
    path = folder / "fruit.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(mistake: str, tmp_path: Path) -> None:
    edit, expected = MISTAKES[mistake]
    tree = copy.deepcopy(SOUND)
    edit(tree)
    path = write(tmp_path, tree)
    if mistake == "unreachable":
        tree["questions"][0]["answers"][0]["next"] = tree["questions"][0]["answers"][1]["next"] = "colour"
        write(tmp_path, tree)
    with pytest.raises(InputError) as error:
        load_tree(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_question_after_a_loop_is_not_called_part_of_it(tmp_path: Path) -> None:
    tree = copy.deepcopy(SOUND)
    an_answer(1, 1, "ripe")(tree)
    with pytest.raises(InputError, match="questions ripe lead back"):
        load_tree(write(tmp_path, tree))


def test_another_survey_s_tree_loads_with_its_own_gates(tmp_path: Path) -> None:
    tree = load_tree(write(tmp_path, SOUND))
    assert tree.columns == (
        "kind_apple",
        "kind_pear",
        "kind_neither",
        "ripe_yes",
        "ripe_no",
        "colour_red",
        "colour_green",
    )
    assert tree.gates == {"ripe": (0, 1), "colour": (3,)}
    assert [named.name for named in tree.classes] == ["Ripe fruit"]
