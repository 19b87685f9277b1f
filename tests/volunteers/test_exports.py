"""Exports of the Zooniverse: what is read, and what becomes of rows that can't be."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from pipeline.volunteers.exports import Piece, export_files, read_export
from pipeline.volunteers.mapping import GALAXY_ZOO_2_TASKS, Mapping, load_mapping
from pipeline.volunteers.records import QUARANTINE, VOTES
from tests.support.exports import HEADER, annotated, export, row

SMOOTH = [("smooth_or_featured", "smooth"), ("how_rounded", "round"), ("something_odd", "no")]
DISK = [("smooth_or_featured", "featured_or_disk"), ("disk_edge_on", "no"), ("bar", "yes")]


@pytest.fixture(scope="module")
def mapping(tree: DecisionTree) -> Mapping:
    return load_mapping(str(GALAXY_ZOO_2_TASKS), tree)


def read(path: Path, data: bytes, mapping: Mapping, tree: DecisionTree) -> Piece:
    path.write_bytes(data)
    pieces = list(read_export(str(path), mapping, tree))
    return Piece(
        pa.concat_tables([piece.votes for piece in pieces]),
        pa.concat_tables([piece.quarantine for piece in pieces]),
        sum(piece.rows for piece in pieces),
    )


def test_an_export_becomes_one_row_an_answer(mapping: Mapping, tree: DecisionTree, tmp_path: Path) -> None:
    rows = [row(5, "ada", "g1", SMOOTH), row(3, "not-logged-in-2c61", "g2", DISK)]
    found = read(tmp_path / "e.csv", export(rows), mapping, tree)
    assert found.votes.schema == VOTES
    assert found.quarantine.schema == QUARANTINE
    assert len(found.quarantine) == 0
    assert found.rows == 2
    first, *_, last = found.votes.to_pylist()
    assert {**first, "time": str(first["time"])} == {
        "classification_id": 5,
        "user": "ada",
        "subject": "g1",
        "question": "smooth_or_featured",
        "answer": "smooth",
        "time": "2018-02-06 10:44:42+00:00",
    }
    assert (last["user"], last["subject"], last["question"], last["answer"]) == (
        "not-logged-in-2c61",
        "g2",
        "bar",
        "yes",
    )


def test_every_answer_of_the_tree_is_mapped(mapping: Mapping, tree: DecisionTree, tmp_path: Path) -> None:
    answers = [(q.key, a.key) for q in tree.questions for a in q.answers]
    rows = [row(number, "ada", f"g{number}", [one]) for number, one in enumerate(answers)]
    votes = read(tmp_path / "e.csv", export(rows), mapping, tree).votes
    assert list(zip(votes["question"].to_pylist(), votes["answer"].to_pylist(), strict=True)) == answers


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_forms_of_the_same_export_are_the_same(
    suffix: str, mapping: Mapping, tree: DecisionTree, tmp_path: Path
) -> None:
    data = export(row(number, f"user{number % 3}", f"g{number % 5}", SMOOTH) for number in range(20))
    expected = read(tmp_path / "plain.csv", data, mapping, tree).votes
    path = tmp_path / f"e.{suffix}"
    if suffix == "parquet":  # as who opens the export in a notebook saves it: numbers as numbers
        pq.write_table(pa_csv.read_csv(pa.BufferReader(data)), path)
        data = path.read_bytes()
    found = read(path, gzip.compress(data) if suffix == "csv.gz" else data, mapping, tree)
    assert found.votes.equals(expected)


def test_versions_of_a_workflow(mapping: Mapping, tree: DecisionTree, tmp_path: Path) -> None:
    """Other names of tasks, tasks combined, buttons as numbers, answers changed and left out."""
    plain = annotated(tree, SMOOTH)
    renamed = [{**one, "task": f"init{place}"} for place, one in enumerate(plain)]
    combined = [{"task": "combo", "task_label": None, "value": plain}]
    numbers = [{**one, "value": value} for one, value in zip(plain, (0, 0, 1), strict=True)]
    changed = annotated(tree, [("something_odd", "yes")]) + plain
    left_out = [*plain, {**annotated(tree, [("bar", "yes")])[0], "value": None}]
    ways = [plain, renamed, combined, numbers, changed, left_out]
    rows = [
        row(number, "ada", f"g{number}", [], annotations=json.dumps(way)) for number, way in enumerate(ways)
    ]
    found = read(tmp_path / "e.csv", export(rows), mapping, tree)
    assert found.quarantine.to_pylist() == []
    for number in range(len(ways)):
        votes = [vote for vote in found.votes.to_pylist() if vote["classification_id"] == number]
        assert sorted((vote["question"], vote["answer"]) for vote in votes) == sorted(SMOOTH), number


BAD = {
    "classification_id 'x1' is no number": {"classification_id": "x1"},
    "it names no user": {"user_name": " ", "user_id": ""},
    "created_at 'yesterday' is no time such as": {"created_at": "yesterday"},
    "annotations '[{' are no JSON": {"annotations": "[{"},
    "annotations '{\"a\": 1}' are no list of tasks": {"annotations": '{"a": 1}'},
    "answer 'Blue' to 'bar' is none that the mapping has": {
        "annotations": json.dumps(
            [
                {
                    "task": "T2",
                    "task_label": "Is there a sign of a bar feature through the centre?",
                    "value": "Blue",
                }
            ]
        )
    },
    "task 'T99' ('What colour is it?') is neither mapped nor ignored": {
        "annotations": json.dumps([{"task": "T99", "task_label": "What colour is it?", "value": "Blue"}])
    },
    "it answers none of the tree's questions": {"annotations": "[]"},
    "it is of subjects '1;2'; expected one": {"subject_ids": "1;2"},
    "it names no subject": {"subject_ids": ""},
    "is no JSON object of subject 77": {"subject_ids": "77", "subject_data": "{}"},
    "'deep' to 'bar'": {
        "annotations": json.dumps(
            [
                {
                    "task": "T2",
                    "task_label": "Is there a sign of a bar feature through the centre?",
                    "value": ["deep"],
                }
            ]
        )
    },
}


@pytest.mark.parametrize("reason", BAD)
def test_a_malformed_row_is_told_and_nothing_is_lost_with_it(
    reason: str, mapping: Mapping, tree: DecisionTree, tmp_path: Path
) -> None:
    rows = [
        row(1, "ada", "g1", SMOOTH),
        row(2, "bob", "g1", DISK, **BAD[reason]),
        row(3, "eve", "g1", SMOOTH),
    ]
    found = read(tmp_path / "e.csv", export(rows), mapping, tree)
    (bad,) = found.quarantine.to_pylist()
    assert reason in bad["reason"]
    assert (bad["file"], bad["row"]) == ("e.csv", 3)
    assert found.votes["classification_id"].to_pylist() == [1] * 3 + [3] * 3


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 2500))
def test_a_file_that_is_cut_off_anywhere_loses_one_row_at_most(
    cut: int, tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mapping = load_mapping(str(GALAXY_ZOO_2_TASKS), tree)
    data = export(row(number, "ada", f"g{number}", SMOOTH) for number in range(4))
    torn = data[: -min(cut, len(data) - data.index(b"\n") - len(data.splitlines()[1]) - 2)]
    found = read(tmp_path_factory.mktemp("torn") / "e.csv", torn, mapping, tree)
    whole = torn.count(b"\n") - 1
    assert len(set(found.votes["classification_id"].to_pylist())) == whole
    assert len(found.quarantine) == (not torn.endswith(b"\n"))


@settings(max_examples=60, deadline=None)
@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=12)
)
def test_names_are_taken_as_they_are(
    name: str, tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mapping = load_mapping(str(GALAXY_ZOO_2_TASKS), tree)
    data = export([row(1, name, "g1", SMOOTH), row(2, "007", "g1", SMOOTH)])
    votes = read(tmp_path_factory.mktemp("names") / "e.csv", data, mapping, tree).votes
    assert votes["user"].to_pylist() == [name] * 3 + ["007"] * 3


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x")', "<img src=x onerror=alert(1)>", '@a, "b"', "12345"]
)
def test_html_and_formulas_in_names_do_no_harm(
    name: str, mapping: Mapping, tree: DecisionTree, tmp_path: Path
) -> None:
    data = export([row(1, name, "g1", SMOOTH)])
    assert read(tmp_path / "e.csv", data, mapping, tree).votes["user"].to_pylist() == [name] * 3


@pytest.mark.parametrize("line", [b'4,"ada', b"4,ada\xff", b"", b'4,"a"b",c', b"4,b\n4,b"])
def test_a_line_that_is_no_row_does_not_swallow_those_after_it(
    line: bytes, mapping: Mapping, tree: DecisionTree, tmp_path: Path
) -> None:
    lines = export([row(1, "ada", "g1", SMOOTH), row(2, "bob", "g1", SMOOTH)]).splitlines()
    if line == b"4,ada\xff":
        line = lines[1].replace(b"ada", b"\xff")
    found = read(tmp_path / "e.csv", b"\n".join([*lines[:2], line, *lines[2:]]) + b"\n", mapping, tree)
    assert set(found.votes["classification_id"].to_pylist()) == {1, 2}
    assert found.quarantine["row"].to_pylist() == list(range(3, 4 + line.count(b"\n")))


def test_rows_keep_their_numbers_across_blocks(
    mapping: Mapping, tree: DecisionTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.volunteers.exports._BLOCK_BYTES", 3000)
    rows = [row(n, "ada", f"g{n}", SMOOTH, **({"created_at": ""} if n == 17 else {})) for n in range(30)]
    found = read(tmp_path / "e.csv", export(rows), mapping, tree)
    assert len(found.votes) == 29 * 3
    assert found.quarantine["row"].to_pylist() == [19]


def test_a_table_of_votes_is_cut_only_between_classifications(
    mapping: Mapping, tree: DecisionTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.volunteers.exports._BATCH_ROWS", 4)
    data = export(row(number, str(number % 3), f"g{number}", SMOOTH) for number in range(9))
    votes = read(tmp_path / "e.csv", data, mapping, tree).votes
    numbers = votes.set_column(1, "user", votes["user"].cast(pa.float64()))  # users as numbers
    numbers = numbers.set_column(4, "answer", pa.chunked_array([["blue", *votes["answer"].to_pylist()[1:]]]))
    pq.write_table(pa.concat_tables([numbers, numbers[-1:]]), tmp_path / "votes.parquet")
    pieces = list(read_export(str(tmp_path / "votes.parquet"), mapping, tree))
    assert pa.concat_tables([piece.votes for piece in pieces]).equals(votes[1:])
    seen = [set(piece.votes["classification_id"].to_pylist()) for piece in pieces]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 9
    reasons = [reason for piece in pieces for reason in piece.quarantine["reason"].to_pylist()]
    assert reasons == ["answer 'blue' to 'smooth_or_featured' is none of tree 'galaxy_zoo_2'"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is no classification export of the Zooniverse: it lacks classification_id"),
        (b"a,b\n1,2\n", "it lacks classification_id, user_name"),
        (",".join([*HEADER, "user_name"]).encode(), "a column appears twice"),
        (
            export(
                [row(1, "ada", "g", [], annotations='[{"task": "T0", "task_label": "Cat?", "value": "Yes"}]')]
            ),
            "none of its 1 rows can be used; row 2: task 'T0' ('Cat?') is neither mapped nor ignored",
        ),
    ],
)
def test_another_workflows_export_is_refused(
    data: bytes, told: str, mapping: Mapping, tree: DecisionTree, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / "e.csv", data, mapping, tree)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_workflows_can_be_named(tree: DecisionTree, tmp_path: Path) -> None:
    text = GALAXY_ZOO_2_TASKS.read_text()
    (tmp_path / "m.yaml").write_text(f"workflows: [6122]\nignore: [T12]\n{text}")
    mapping = load_mapping(str(tmp_path / "m.yaml"), tree)
    discuss = [*annotated(tree, SMOOTH), {"task": "T12", "task_label": "Discuss?", "value": "Yes"}]
    rows = [
        row(1, "ada", "g1", SMOOTH, annotations=json.dumps(discuss)),
        row(2, "ada", "g2", SMOOTH, workflow_id=5),
    ]
    found = read(tmp_path / "e.csv", export(rows), mapping, tree)
    assert found.votes["classification_id"].to_pylist() == [1, 1, 1]
    assert found.quarantine["reason"].to_pylist() == [
        "it is of workflow 5 ('Galaxy Zoo, our tree'), and the mapping is of 6122"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("question: bar", "question: colour"), "question 'colour' is none of tree 'galaxy_zoo_2'"),
        (("boxy: [", "square: ["), "answer 'square' is none of question 'bulge_shape'"),
        (("What shape is the bulge?", "How rounded is it?"), "task 'how rounded is it?' appears twice"),
    ],
)
def test_a_mapping_that_does_not_fit_the_tree_is_refused(
    change: tuple[str, str], told: str, tree: DecisionTree, tmp_path: Path
) -> None:
    text = GALAXY_ZOO_2_TASKS.read_text()
    (tmp_path / "m.yaml").write_text(text.replace(*change))
    with pytest.raises(InputError, match=re.escape(told)):
        load_mapping(str(tmp_path / "m.yaml"), tree)


def test_a_folder_without_exports_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no export"):
        export_files(str(tmp_path))
