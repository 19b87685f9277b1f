"""Gates of random trees against the enumeration of every path."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.tree import Answer, DecisionTree, Question


@st.composite
def trees(draw: st.DrawFn) -> DecisionTree:
    """Trees of up to seven questions, in a file order that is not the order in which they are asked."""
    count = draw(st.integers(1, 7))
    answers = [draw(st.integers(2, 4)) for _ in range(count)]
    leads_to: list[list[int | None]] = [
        [draw(st.sampled_from([None, *range(i + 1, count)])) for _ in range(answers[i])] for i in range(count)
    ]
    for target in range(1, count):
        if not any(target in targets for targets in leads_to[:target]):
            source = draw(st.integers(0, target - 1))
            leads_to[source].append(target)
    if draw(st.booleans()):  # A question that every path comes through, so that gates can be reduced.
        i = draw(st.integers(0, count - 1))
        leads_to[i] = [min((t for t in leads_to[i] if t), default=None)] * len(leads_to[i])
        reached = {t for targets in leads_to for t in targets}
        for target in range(1, count):
            if target not in reached:
                leads_to[0].append(target)
    always = [draw(st.integers(0, 4)) == 0 for _ in range(count)]
    order = [0, *draw(st.permutations(range(1, count)))]
    return DecisionTree(
        "random",
        tuple(
            Question(
                f"q{i}",
                "?",
                tuple(
                    Answer(f"a{j}", "!", None if target is None else f"q{target}")
                    for j, target in enumerate(leads_to[i])
                ),
                always[i],
            )
            for i in order
        ),
    )


def cumulative_by_paths(tree: DecisionTree, conditional: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each answer's probability: the sum over all paths that end with it."""
    questions = {question.key: question for question in tree.questions}
    starts = {q.key for i, q in enumerate(tree.questions) if i == 0 or q.always_asked}
    cumulative = np.zeros_like(conditional)

    def follow(key: str, probability: float) -> None:
        for offset, answer in enumerate(questions[key].answers):
            column = tree.slices[key].start + offset
            share = probability * conditional[column]
            cumulative[column] += share
            if answer.next is not None and answer.next not in starts:
                follow(answer.next, share)

    for key in starts:
        follow(key, 1.0)
    return cumulative


@settings(max_examples=150, deadline=None)
@given(tree=trees(), seed=st.integers(0, 2**32 - 1))
def test_gating_in_order_gives_the_probability_of_every_path(tree: DecisionTree, seed: int) -> None:
    assert tree.problems() == []
    random = np.random.default_rng(seed)
    conditional = np.concatenate([random.dirichlet(np.ones(len(q.answers))) for q in tree.questions])
    p = conditional.copy()
    for key, gate in tree.gates.items():
        p[tree.slices[key]] *= p[list(gate)].sum()
    np.testing.assert_allclose(p, cumulative_by_paths(tree, conditional), rtol=1e-10, atol=1e-15)


@settings(max_examples=100, deadline=None)
@given(tree=trees())
def test_no_gate_holds_all_answers_of_a_gated_question(tree: DecisionTree) -> None:
    assert set(tree.gates) == {q.key for i, q in enumerate(tree.questions) if i and not q.always_asked}
    for gate in tree.gates.values():
        for key in tree.gates:
            assert not set(range(*tree.slices[key].indices(tree.answer_count))) <= set(gate)
