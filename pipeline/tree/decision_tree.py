"""Questions and answers, where each lies in the vector of answers, and which answers gate a question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter


@dataclass(frozen=True)
class Answer:
    """One answer to a question.

    Attributes
    ----------
    key
        Short name, unique within the question.
    text
        What volunteers read.
    next
        Key of the question that this answer leads to; None ends the path.
    """

    key: str
    text: str
    next: str | None


@dataclass(frozen=True)
class Question:
    """One question, with the answers among which volunteers choose.

    Attributes
    ----------
    always_asked
        Whether its answers sum to 1 whatever came before (no gating).
    """

    key: str
    text: str
    answers: tuple[Answer, ...]
    always_asked: bool = False


@dataclass(frozen=True)
class MorphologyClass:
    """A name for galaxies for which all of `answers` (columns) were chosen; `color` is ``#rrggbb``."""

    name: str
    color: str
    answers: frozenset[str]


@dataclass(frozen=True)
class DecisionTree:
    """A decision tree; the vector of answers holds its questions' answers one after the other.

    The first question is the root; `reference` is the bibcode of the paper on them. Probabilities are
    *cumulative*: the answers of a question sum to the probability that it was asked (Dieleman, Willett &
    Dambre 2015, section 3).

    Examples
    --------
    Who is asked about a bar? Those who said that the disk is not edge-on.

    >>> from pipeline.tree import load_tree
    >>> tree = load_tree()
    >>> tree.answer_count
    37
    >>> [tree.columns[i] for i in tree.gates["bar"]]
    ['disk_edge_on_no']
    """

    name: str
    questions: tuple[Question, ...]
    classes: tuple[MorphologyClass, ...] = ()
    reference: str = ""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Catalogue column of every answer, ``<question>_<answer>``, in the order of the vector."""
        return tuple(f"{q.key}_{a.key}" for q in self.questions for a in q.answers)

    @cached_property
    def class_columns(self) -> tuple[str, ...]:
        """Column of every answer in the Galaxy Challenge's layout, ``Class<question>.<answer>``, from 1."""
        return tuple(
            f"Class{i}.{j}"
            for i, q in enumerate(self.questions, start=1)
            for j, _ in enumerate(q.answers, start=1)
        )

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each question's answers lie in the vector, by question key."""
        slices, start = {}, 0
        for question in self.questions:
            slices[question.key] = slice(start, start + len(question.answers))
            start += len(question.answers)
        return slices

    @cached_property
    def answer_count(self) -> int:
        """Length of the vector of answers (37 for Galaxy Zoo 2)."""
        return len(self.columns)

    @cached_property
    def gates(self) -> dict[str, tuple[int, ...]]:
        """For each gated question, the answers whose probabilities sum to that of being asked it.

        Where all answers of a question would be among them, whatever leads to that question stands in for
        them (Galaxy Zoo 2 is left with one answer a gate). Questions stand in an order in which a gate is
        final before it is used.
        """
        gates: dict[str, tuple[int, ...]] = {}
        for key in self.in_order():
            question = self._by_key[key]
            if key != self.questions[0].key and not question.always_asked:
                gates[key] = self._reduce(self._incoming[key])
        return gates

    def in_order(self) -> tuple[str, ...]:
        """Keys of the questions, each after all that lead to it.

        Raises
        ------
        graphlib.CycleError
            If some lead back to themselves; a loaded tree has none such.
        """
        sorter = TopologicalSorter[str]({question.key: () for question in self.questions})
        for question in self.questions:
            for answer in question.answers:
                if answer.next is not None:
                    sorter.add(answer.next, question.key)
        return tuple(sorter.static_order())

    @cached_property
    def _by_key(self) -> dict[str, Question]:
        return {question.key: question for question in self.questions}

    @cached_property
    def _incoming(self) -> dict[str, frozenset[int]]:
        incoming: dict[str, set[int]] = {question.key: set() for question in self.questions}
        for question in self.questions:
            for offset, answer in enumerate(question.answers):
                if answer.next is not None:
                    incoming[answer.next].add(self.slices[question.key].start + offset)
        return {key: frozenset(answers) for key, answers in incoming.items()}

    def _reduce(self, answers: frozenset[int]) -> tuple[int, ...]:
        for question in self.questions:
            where = self.slices[question.key]
            members = frozenset(range(where.start, where.stop))
            if members <= answers and self._incoming[question.key] and not question.always_asked:
                return self._reduce((answers - members) | self._incoming[question.key])
        return tuple(sorted(answers))

    def problems(self) -> list[str]:
        """What is wrong with the tree, one sentence each; empty when it is sound."""
        problems: list[str] = []
        keys = [question.key for question in self.questions]
        if not keys:
            return ["the tree has no questions"]
        problems += [
            f"question {key!r} appears twice" for key in sorted({k for k in keys if keys.count(k) > 1})
        ]
        for question in self.questions:
            answers = [answer.key for answer in question.answers]
            if len(answers) < 2:
                problems.append(
                    f"question {question.key!r} has {len(answers)} answer(s); expected at least 2"
                )
            if len(set(answers)) < len(answers):
                problems.append(f"question {question.key!r} has two answers of the same key")
            problems += [
                f"answer {question.key}/{answer.key} leads to unknown question {answer.next!r}"
                for answer in question.answers
                if answer.next is not None and answer.next not in keys
            ]
        if problems:
            return problems
        if len(set(self.columns)) < self.answer_count:
            problems.append("two answers get the same column name <question>_<answer>")
        problems += [
            f"question {key!r} can't be reached from the first question {keys[0]!r}"
            for key in keys[1:]
            if not self._incoming[key] and not self._by_key[key].always_asked
        ]
        try:
            self.in_order()
            if self._incoming[keys[0]]:
                problems.append(f"an answer leads back to the first question {keys[0]!r}")
        except CycleError as error:
            circle = sorted(set(error.args[1]))
            problems.append(f"questions {', '.join(circle)} lead back to themselves")
        names = [named.name for named in self.classes]
        problems += [
            f"class {name!r} appears twice" for name in sorted({n for n in names if names.count(n) > 1})
        ]
        problems += [
            f"class {named.name!r} names unknown answer {answer!r}"
            for named in self.classes
            for answer in sorted(named.answers - set(self.columns))
        ]
        return problems


def joined(*trees: DecisionTree) -> DecisionTree:
    """One tree of the questions of several, each of whose first question is always asked.

    So galaxies of several projects train one network, each where it has votes.
    """
    first, *others = trees
    questions = [*first.questions]
    for tree in others:
        questions += [replace(tree.questions[0], always_asked=True), *tree.questions[1:]]
    return DecisionTree("+".join(tree.name for tree in trees), tuple(questions), first.classes)
