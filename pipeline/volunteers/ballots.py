"""Votes as numbers: galaxies, users and answers by their codes, in blocks that fit into memory.

A block holds all votes for some galaxies, so that a galaxy is counted in one place, and one block is in
memory at a time. Of a user who classified a galaxy more than once the last classification counts (Willett et
al. 2013, section 3).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from pipeline.volunteers.store import read_votes_table

BLOCK_VOTES = 4_000_000
_ROW = np.dtype([("id", np.int64), ("galaxy", np.int32), ("user", np.int32), ("answer", np.int16)])
_ARRAYS = ("starts", "galaxy", "user", "answer")


@dataclass(frozen=True)
class QuestionVotes:
    """Votes on one question: of each the galaxy, the user, and the place of the answer in the question."""

    galaxy: NDArray[np.int32]
    user: NDArray[np.int32]
    answer: NDArray[np.int16]


@dataclass(frozen=True)
class Block:
    """All votes for the `count` galaxies from `first` on, sorted by question.

    Attributes
    ----------
    starts : ndarray, shape (questions + 1,), int64
        Where the votes on each question begin.
    galaxy : ndarray, shape (n,), int32
        Counted from `first`.
    user : ndarray, shape (n,), int32
    answer : ndarray, shape (n,), int16
        Place of the answer in its question.
    """

    first: int
    count: int
    starts: NDArray[np.int64]
    galaxy: NDArray[np.int32]
    user: NDArray[np.int32]
    answer: NDArray[np.int16]

    def on(self, question: int) -> QuestionVotes:
        """The votes on one question, by its place in the tree."""
        part = slice(self.starts[question], self.starts[question + 1])
        return QuestionVotes(self.galaxy[part], self.user[part], self.answer[part])

    @property
    def galaxies(self) -> slice:
        """Where its galaxies are among all."""
        return slice(self.first, self.first + self.count)


@dataclass(frozen=True)
class Ballots:
    """All votes, coded.

    Attributes
    ----------
    tree
        The tree whose answers were chosen.
    subjects, users
        What the codes stand for.
    votes
        How many there are, of counted classifications.
    classifications : ndarray, shape (galaxies,), int64
        How many users classified each galaxy.
    """

    tree: DecisionTree
    subjects: Sequence[str]
    users: Sequence[str]
    votes: int
    classifications: NDArray[np.int64]
    _parts: Callable[[], Iterator[Block]]

    def blocks(self) -> Iterator[Block]:
        """The votes, a block at a time; the same blocks each time."""
        return self._parts()


def ballots_of(
    tree: DecisionTree,
    galaxy: ArrayLike,
    user: ArrayLike,
    classification: ArrayLike,
    answer: ArrayLike,
    galaxies: int | None = None,
    users: int | None = None,
) -> Ballots:
    """Votes that are in memory as codes.

    Parameters
    ----------
    galaxy, user, classification, answer : array_like, shape (n,)
        Of each vote; `answer` is a column of the tree, and later classifications have higher numbers.
    galaxies, users
        How many there are; as many as the codes tell if not given.
    """
    rows = np.empty(len(np.asarray(galaxy)), _ROW)
    for name, values in (("id", classification), ("galaxy", galaxy), ("user", user), ("answer", answer)):
        rows[name] = values
    galaxies = int(rows["galaxy"].max(initial=-1)) + 1 if galaxies is None else galaxies
    users = int(rows["user"].max(initial=-1)) + 1 if users is None else users
    block, classified = _block(tree, rows, 0, galaxies)
    names = [[str(code) for code in range(count)] for count in (galaxies, users)]
    return Ballots(tree, names[0], names[1], len(block.answer), classified, lambda: iter([block]))


@contextlib.contextmanager
def read_ballots(uri: str, tree: DecisionTree, block_votes: int = BLOCK_VOTES) -> Iterator[Ballots]:
    """Votes of a table, in blocks that lie in a temporary folder (which ``TMPDIR`` places).

    Raises
    ------
    InputError
        If there is no table of votes, it is empty, or it has answers that the tree doesn't know.
    """
    names: dict[str, set[str]] = {"subject": set(), "user": set()}
    votes = 0
    for batch in read_votes_table(uri, list(names)):
        votes += len(batch)
        for name, values in names.items():
            values.update(pa.compute.unique(batch[name].dictionary_decode()).to_pylist())
    if not votes:
        raise InputError(f"{uri} holds no votes yet; add an export with `tuningfork votes`")
    subjects, users = (sorted(names[name]) for name in ("subject", "user"))
    parts = -(-votes // block_votes)
    size = -(-len(subjects) // parts)
    with tempfile.TemporaryDirectory(prefix="tuningfork-votes-") as folder:
        _scatter(uri, tree, Path(folder), subjects, users, size)
        classified, counted = [], 0
        firsts = range(0, len(subjects), size)
        for first in firsts:
            file = Path(folder) / f"{first}.rows"
            rows = np.fromfile(file, _ROW) if file.exists() else np.empty(0, _ROW)
            file.unlink(missing_ok=True)
            block, counts = _block(tree, rows, first, min(size, len(subjects) - first))
            classified.append(counts)
            counted += len(block.answer)
            for name in _ARRAYS:
                np.save(Path(folder) / f"{first}.{name}.npy", getattr(block, name))
        yield Ballots(
            tree,
            subjects,
            users,
            counted,
            np.concatenate(classified),
            lambda: (_load(Path(folder), first, min(size, len(subjects) - first)) for first in firsts),
        )


def _load(folder: Path, first: int, count: int) -> Block:
    return Block(first, count, *(np.load(folder / f"{first}.{name}.npy") for name in _ARRAYS))


def _scatter(
    uri: str, tree: DecisionTree, folder: Path, subjects: list[str], users: list[str], size: int
) -> None:
    """Write the rows of a table, coded, to one file a block of `size` galaxies."""
    codes = [{name: code for code, name in enumerate(names)} for names in (subjects, users)]
    column = {
        (q.key, a.key): tree.slices[q.key].start + i for q in tree.questions for i, a in enumerate(q.answers)
    }
    for batch in read_votes_table(uri, ["classification_id", "subject", "user", "question", "answer"]):
        rows = np.empty(len(batch), _ROW)
        rows["id"] = batch["classification_id"].to_numpy()
        for name, code in zip(("subject", "user"), codes, strict=True):
            known = np.array([code[word] for word in batch[name].dictionary.to_pylist()], np.int32)
            rows["galaxy" if name == "subject" else name] = known[batch[name].indices.to_numpy()]
        questions, answers = batch["question"], batch["answer"]
        wide = len(answers.dictionary)
        pairs = questions.indices.to_numpy().astype(np.int64) * wide + answers.indices.to_numpy()
        distinct, inverse = np.unique(pairs, return_inverse=True)
        keys = [
            (questions.dictionary[pair // wide].as_py(), answers.dictionary[pair % wide].as_py())
            for pair in distinct.tolist()
        ]
        unknown = [key for key in keys if key not in column]
        if unknown:
            raise InputError(
                f"{uri} has answer {unknown[0][1]!r} to {unknown[0][0]!r}, which tree {tree.name!r} doesn't; "
                "name the tree of the votes as tree=FILE"
            )
        rows["answer"] = np.array([column[key] for key in keys], np.int16)[inverse]
        part = rows["galaxy"] // size
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(int(part.max(initial=-1)) + 2))
        for number in np.flatnonzero(np.diff(bounds)):
            with (folder / f"{number * size}.rows").open("ab") as file:
                rows[order[bounds[number] : bounds[number + 1]]].tofile(file)


def _block(
    tree: DecisionTree, rows: NDArray[np.void], first: int, count: int
) -> tuple[Block, NDArray[np.int64]]:
    """A block of some rows, and how many users classified each of its galaxies."""
    galaxy, user, ids = rows["galaxy"].astype(np.int64) - first, rows["user"].astype(np.int64), rows["id"]
    pair = galaxy * (int(user.max(initial=-1)) + 1) + user
    order = np.lexsort((ids, pair))
    pair, ids = pair[order], ids[order]
    ends = np.flatnonzero(np.r_[pair[1:] != pair[:-1], True]) if len(pair) else np.zeros(0, np.int64)
    last = np.repeat(ids[ends], np.diff(np.r_[-1, ends]))
    kept = order[ids == last]
    classified = np.bincount(galaxy[order[ends]], minlength=count)
    question_of = np.repeat(np.arange(len(tree.questions)), [len(q.answers) for q in tree.questions])
    begins = np.array([tree.slices[q.key].start for q in tree.questions])
    answer = rows["answer"][kept].astype(np.int64)
    question = question_of[answer]
    by_question = np.argsort(question.astype(np.int8), kind="stable")
    kept, question, answer = kept[by_question], question[by_question], answer[by_question]
    block = Block(
        first,
        count,
        np.searchsorted(question, np.arange(len(tree.questions) + 1)),
        galaxy[kept].astype(np.int32),
        rows["user"][kept],
        (answer - begins[question]).astype(np.int16),
    )
    return block, classified


def sums_of_votes(ballots: Ballots, user_weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """How many votes each answer to each galaxy has, or the sums of their users' weights.

    Returns
    -------
    ndarray, shape (galaxies, answers), float64
    """
    sums = np.zeros((len(ballots.subjects), ballots.tree.answer_count))
    for block in ballots.blocks():
        for number, where in enumerate(ballots.tree.slices.values()):
            votes, wide = block.on(number), where.stop - where.start
            cells = votes.galaxy.astype(np.int64) * wide + votes.answer
            weights = None if user_weights is None else user_weights[votes.user]
            of_cells = np.bincount(cells, weights, block.count * wide)
            sums[block.galaxies, where] = of_cells.reshape(block.count, wide)
    return sums
