"""The Galaxy Zoo 2 tree against the published table and the Galaxy Challenge's column layout."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tree import DecisionTree

LEADS_TO: dict[int, list[int | None]] = {
    1: [7, 2, None],
    2: [9, 3],
    3: [4, 4],
    4: [10, 5],
    5: [6] * 4,
    6: [8, None],
    7: [6] * 3,
    8: [None] * 7,
    9: [6] * 3,
    10: [11] * 3,
    11: [5] * 6,
}
"""For each question, the question that each of its answers leads to."""

FIRST_COLUMN = {1: 0, 2: 3, 3: 5, 4: 7, 5: 9, 6: 13, 7: 15, 8: 18, 9: 25, 10: 28, 11: 31, 12: 37}
SCALING = [((3, 5), 1), ((5, 13), 4), ((15, 18), 0), ((18, 25), 13), ((25, 28), 3), ((28, 37), 7)]
"""Columns [from, to) that the challenge's winner scales by the answer of a column, in this order."""


def test_every_answer_leads_where_the_published_table_says(tree: DecisionTree) -> None:
    number = {question.key: i for i, question in enumerate(tree.questions, start=1)}
    found = {number[q.key]: [a.next and number[a.next] for a in q.answers] for q in tree.questions}
    assert found == LEADS_TO


def test_questions_lie_in_the_columns_of_the_label_file(tree: DecisionTree) -> None:
    starts = [tree.slices[q.key].start for q in tree.questions]
    stops = [tree.slices[q.key].stop for q in tree.questions]
    assert starts == [FIRST_COLUMN[i] for i in range(1, 12)]
    assert stops == [FIRST_COLUMN[i] for i in range(2, 13)]
    assert tree.answer_count == len(set(tree.columns)) == 37


def test_class_columns_count_questions_and_answers_from_one(tree: DecisionTree) -> None:
    expected = [f"Class{i}.{j}" for i, answers in LEADS_TO.items() for j in range(1, len(answers) + 1)]
    assert list(tree.class_columns) == expected
    assert expected[0] == "Class1.1"
    assert expected[-1] == "Class11.6"


def test_gates_are_those_of_the_published_output_layer(tree: DecisionTree) -> None:
    expected = {
        question: (gate,)
        for question, start in FIRST_COLUMN.items()
        for (begin, end), gate in SCALING
        if begin <= start < end
    }
    number = {question.key: i for i, question in enumerate(tree.questions, start=1)}
    assert {number[key]: gate for key, gate in tree.gates.items()} == expected
    assert set(expected) == set(range(2, 12)) - {6}


def test_a_gate_is_final_when_it_is_used(tree: DecisionTree) -> None:
    owner = {column: key for key, where in tree.slices.items() for column in range(where.start, where.stop)}
    final = {tree.questions[0].key, "something_odd"}
    for key, gate in tree.gates.items():
        assert {owner[column] for column in gate} <= final, key
        final.add(key)
    assert final == set(tree.slices)


def test_gating_makes_each_question_sum_to_the_answers_that_lead_to_it(tree: DecisionTree) -> None:
    random = np.random.default_rng(1)
    p = np.concatenate([random.dirichlet(np.ones(len(q.answers))) for q in tree.questions])
    for key, gate in tree.gates.items():
        p[tree.slices[key]] *= p[list(gate)].sum()
    for number in LEADS_TO:
        incoming = [
            FIRST_COLUMN[source] + i
            for source, targets in LEADS_TO.items()
            for i, target in enumerate(targets)
            if target == number
        ]
        asked = 1.0 if number in {1, 6} else p[incoming].sum()
        assert p[FIRST_COLUMN[number] : FIRST_COLUMN[number + 1]].sum() == pytest.approx(asked, rel=1e-12)
