"""Files of ratings: they only grow, survive a kill, and go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import HeldError, InputError
from pipeline.representations.ratings import open_session, read_ratings


def test_ratings_are_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ratings.jsonl"
    with open_session(path, "ada") as session:
        session.rate("a", 3)
        session.rate("b", 0)
    with open_session(path, "ada") as session:
        session.rate("a", 5)
        ratings = session.ratings()
    assert dict(zip(ratings.ids, ratings.values.tolist(), strict=True)) == {"a": 5.0, "b": 0.0}
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("kept", range(0, 40, 3))
def test_a_line_that_was_cut_off_is_passed_over_and_removed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ratings.jsonl"
    with open_session(path) as session:
        session.rate("a", 3)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert read_ratings([str(path)]).ids == ("a",)
    with open_session(path) as session:
        session.rate("b", 1)
    assert read_ratings([str(path)]).ids == ("a", "b")


def test_a_last_line_without_an_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    path.write_text('{"object_id": "a", "rating": 2}\n{"object_id": "b", "rating": 4}')
    with open_session(path) as session:
        session.rate("c", 1)
    assert read_ratings([str(path)]).values.tolist() == [2, 4, 1]


def test_what_two_people_say_is_averaged(tmp_path: Path) -> None:
    for name, ratings in (("x", {"a": 5, "b": 1}), ("y", {"a": 2, "c": 0})):
        with open_session(tmp_path / name) as session:
            for galaxy, rating in ratings.items():
                session.rate(galaxy, rating)
    both = read_ratings([str(tmp_path / "x"), str(tmp_path / "y")])
    assert dict(zip(both.ids, both.values.tolist(), strict=True)) == {"a": 3.5, "b": 1.0, "c": 0.0}


def test_a_second_session_on_one_file_is_refused(tmp_path: Path) -> None:
    with (
        open_session(tmp_path / "r"),
        pytest.raises(HeldError, match="is open in another session"),
        open_session(tmp_path / "r"),
    ):
        pass


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"object_id": "a", "rating": 6}', "rating of galaxy 'a' is 6; expected a whole number from 0 to 5"),
        ('{"object_id": "a", "rating": true}', "is True; expected a whole number"),
        ('{"object_id": "a", "rating": 2.5}', "is 2.5; expected a whole number"),
        ('{"object_id": "a", "rating": 1, "note": 1}', "line 1: unknown key 'note'"),
        ("[3]", r"is \[3\]; expected an object with object_id and rating"),
        ('{"object_id', "line 1 is no JSON"),
    ],
)
def test_a_line_that_is_no_rating_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "ratings.jsonl"
    path.write_text(f"{line}\n" + '{"object_id": "b", "rating": 4}\n')
    with pytest.raises(InputError, match=told):
        read_ratings([str(path)])
