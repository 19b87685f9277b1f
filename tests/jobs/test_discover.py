"""What is worth a look in a catalogue, as its user finds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.tree import DecisionTree
from tests.support.command import ROOT
from tests.support.embedded import clouds, write_embedded

COUNT = PICTURED = 120
VECTORS, RARE = clouds(COUNT)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    folder = tmp_path_factory.mktemp("discover")
    write_embedded(folder, tree, VECTORS, PICTURED)
    return folder


def run(survey: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["discover", str(survey / "catalogue"), *words])
    return int(ended.value.code or 0)


def write_ratings(path: Path, rows: range, first: int = 0) -> Path:
    lines = [{"object_id": f"g/{first + row:04d}", "rating": 5 if RARE[row] else 1} for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_unasked_the_oddest_come_first(survey: Path, tmp_path: Path) -> None:
    assert run(survey, f"output={tmp_path}/out", "top=40", "galaxies=8") == 0
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    assert scores["object_id"].to_pylist() == [f"g/{row:04d}" for row in range(COUNT)]
    ranking = pq.read_table(tmp_path / "out" / "ranking.parquet")
    assert ranking["rank"].to_pylist() == list(range(1, 41))
    np.testing.assert_allclose(ranking["score"], np.sort(scores["score"].to_numpy())[::-1][:40], atol=1e-6)
    assert "Odd ones" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "rate.html").read_text().count('"id"') == 10


def test_ratings_of_two_people_rank_the_catalogue(
    survey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_ratings(tmp_path / "a.jsonl", range(30))
    second = write_ratings(tmp_path / "b.jsonl", range(20, 60))
    assert run(survey, f"output={tmp_path}/out", f"ratings=[{first},{second}]") == 0
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")["score"].to_numpy()[60:]
    rare = RARE[60:]
    assert (scores[rare][:, None] > scores[~rare]).mean() > 0.9
    report = (tmp_path / "out" / "report.html").read_text()
    assert "How well the taste is known" in report
    assert ", rated 5" in report
    page = (tmp_path / "out" / "rate.html").read_text()
    rated = {f"g/{row:04d}" for row in range(60)}
    cards = json.loads(page.partition('id="rating-data">')[2].partition("</script>")[0])["cards"]
    assert cards
    assert not {card["id"] for card in cards} & rated


@pytest.mark.parametrize(
    ("rows", "first", "told"),
    [
        (range(3), 0, "holds ratings of 3 galaxies, from 1 to"),
        (range(30), 7000, "has none of the 30 galaxies of"),
    ],
)
def test_ratings_that_cannot_be_used_are_told_in_a_line(
    survey: Path, tmp_path: Path, rows: range, first: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = write_ratings(tmp_path / "r.jsonl", rows, first)
    assert run(survey, f"output={tmp_path}/out", f"ratings={ratings}") == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@contextmanager
def session(survey: Path, output: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The verb as a process of its own that serves its page, and the page's link."""
    words = ["discover", str(survey / "catalogue"), f"output={output}", "serve=true", "batch=6"]
    served = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        yield served, line.split()[2]
    finally:
        served.kill()
        served.wait()


def ask(link: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(link)
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request(method, f"{path}?{parts.query}", json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_session_is_killed_continued_and_finished(survey: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with session(survey, output) as (_, link):
        status, page = ask(link, "GET", "/")
        assert (status, b"connect-src 'self'" in page) == (200, True)
        text = page.decode().partition('id="rating-data">')[2].partition("</script>")[0]
        first = [card["id"] for card in json.loads(text)["cards"]]
        assert len(first) == 6
        for name in first:
            assert ask(link, "POST", "/ratings", {"object_id": name, "rating": grade(name)})[0] == 200
        assert ask(link.replace("token=", "token=x"), "GET", "/")[0] == 403
        assert ask(link, "GET", "/", Host="evil.example:80")[0] == 403
        assert ask(link, "POST", "/ratings", {"object_id": first[0], "rating": 9})[0] == 400
        assert ask(link, "POST", "/ratings", {"object_id": "nobody", "rating": 1})[0] == 400
    lines = (output / "ratings.jsonl").read_text().splitlines()
    assert [json.loads(line)["object_id"] for line in lines] == first
    with session(survey, output) as (served, link):
        proposed: list[str] = []
        for _ in range(4):
            status, answer = ask(link, "POST", "/next", {})
            assert status == 200
            for card in json.loads(answer)["cards"]:
                proposed.append(card["id"])
                ask(link, "POST", "/ratings", {"object_id": card["id"], "rating": grade(card["id"])})
        assert not set(proposed) & set(first)
        assert ask(link, "POST", "/finish", {})[0] == 200
        assert served.wait(120) == 0
    scores = pq.read_table(output / "scores.parquet")["score"].to_numpy()
    left = [row for row in range(COUNT) if f"g/{row:04d}" not in {*first, *proposed}]
    rare, others = scores[left][RARE[left]], scores[left][~RARE[left]]
    assert (rare[:, None] > others).mean() > 0.8


def grade(name: str) -> int:
    return 5 if RARE[int(name.removeprefix("g/"))] else 0
