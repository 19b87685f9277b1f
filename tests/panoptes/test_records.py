"""The ledger of a push: whoever writes at the same time, each subject has one id for all of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.panoptes.manifest import Row, identity
from pipeline.panoptes.records import Ledger

KEYS = st.sampled_from("abcde")


def test_of_two_that_enter_the_same_the_first_counts(tmp_path: Path) -> None:
    one, other = Ledger(str(tmp_path)), Ledger(str(tmp_path))
    assert one.add({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert other.add({"a": 11, "c": 13}) == {"c": 13}
    assert one.add({"c": 3}) == {}
    assert one.subjects == other.subjects == Ledger(str(tmp_path)).subjects == {"a": 1, "b": 2, "c": 13}


def test_entering_again_what_is_entered_writes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    for _ in range(3):
        assert ledger.add({"a": 1}) == {"a": 1}
        assert ledger.add({}) == {}
    assert len(list((tmp_path / "ledger").iterdir())) == 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sets(KEYS, min_size=1)), max_size=12),
    st.sets(st.integers(0, 11)),
)
def test_all_agree_whoever_writes_when(turns: list[tuple[int, set[str]]], restarts: set[int]) -> None:
    """Three processes, that may start anew at any moment, enter ids of their own."""
    with tempfile.TemporaryDirectory() as folder:
        ledgers = [Ledger(folder) for _ in range(3)]
        counted: dict[str, set[int]] = {}
        for turn, (who, keys) in enumerate(turns):
            if turn in restarts:
                ledgers[who] = Ledger(folder)
            mine = {key: 100 * turn + ord(key) for key in keys}
            for key, number in ledgers[who].add(mine).items():
                counted.setdefault(key, set()).add(number)
        final = Ledger(folder).subjects
        assert {key: {number} for key, number in final.items()} == counted
        for ledger in ledgers:
            assert ledger.subjects.items() <= final.items()


@given(st.text(), st.dictionaries(st.text(), st.text()), st.text(), st.text())
def test_another_push_metadata_or_picture_is_another_subject(
    push: str, metadata: dict[str, str], sha256: str, other: str
) -> None:
    key = identity(push, Row("a.jpg", metadata), sha256)
    assert key == identity(push, Row("a.jpg", dict(reversed(metadata.items()))), sha256)
    assert key != identity(push + "x", Row("a.jpg", metadata), sha256)
    assert key != identity(push, Row("a.jpg", metadata), sha256 + "x")
    assert key != identity(push, Row("a.jpg", metadata | {"#new" + other: other}), sha256)
