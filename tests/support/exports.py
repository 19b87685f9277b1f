"""Classification exports in the layout of Panoptes, made of votes."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.tree import DecisionTree, load_tree

HEADER = (
    *("classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name"),
    *("workflow_version", "created_at", "gold_standard", "expert", "metadata", "annotations"),
    *("subject_data", "subject_ids"),
)

Answers = Sequence[tuple[str, str]]
"""Keys of question and answer."""


def annotated(tree: DecisionTree, answers: Answers) -> list[dict[str, Any]]:
    """As Panoptes tells them: label and button, the button with its picture."""
    questions = {question.key: question for question in tree.questions}
    tasks = list(questions)
    return [
        {
            "task": f"T{tasks.index(key)}",
            "task_label": questions[key].text,
            "value": f"![{answer}.png](https://panoptes-uploads.zooniverse.org/{answer}.png) "
            + next(one.text for one in questions[key].answers if one.key == answer),
        }
        for key, answer in answers
    ]


def row(number: int, user: str, galaxy: str, answers: Answers, **cells: Any) -> dict[str, Any]:
    """A row of an export; `cells` replace what would be there."""
    subject = str(zlib.crc32(galaxy.encode()))
    anonymous = user.startswith("not-logged-in")
    whole = {
        "classification_id": number,
        "user_name": user,
        "user_id": "" if anonymous else 7 + sum(map(ord, user)),
        "user_ip": "2c61707e96c97a759840",
        "workflow_id": 6122,
        "workflow_name": "Galaxy Zoo, our tree",
        "workflow_version": "28.30",
        "created_at": f"2018-02-{1 + number % 28:02d} 10:44:42 UTC",
        "gold_standard": "",
        "expert": "",
        "metadata": json.dumps({"user_language": "en", "live_project": True}),
        "annotations": json.dumps(annotated(load_tree(), answers)),
        "subject_data": json.dumps({subject: {"retired": None, "#object_id": galaxy, "#ra": 1.5}}),
        "subject_ids": subject,
    }
    return whole | cells


def export(rows: Iterable[dict[str, Any]]) -> bytes:
    """The file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
