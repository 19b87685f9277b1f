"""Look-alikes as their user asks for them: by id, picture and position, and what is wrong with a question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline import Classifier
from pipeline.catalogue.embedding import with_projection
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.network import DEFAULT_WEIGHTS, read_card
from pipeline.representations import read_projection
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import write_catalogue
from tests.representations.test_index import build
from tests.representations.test_reading import rows_of
from tests.support.catalogues import parse
from tests.support.galaxies import galaxy, png

COUNT = 60
PICTURED = 8


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A catalogue of sixty galaxies; eight have pictures and their vectors, the others random ones."""
    folder = tmp_path_factory.mktemp("similar")
    pictures = [png(galaxy(number, 120)) for number in range(PICTURED)]
    table = pa.Table.from_pylist(
        [{"object_id": f"g{i}", "image": data} for i, data in enumerate(pictures)], schema=CUTOUT_SCHEMA
    )
    pq.write_table(table, folder / "a.parquet")
    seen = Classifier(embedding=True).predict(pictures)["embedding"]
    random = np.random.default_rng(1).integers(-60, 60, (COUNT, 64)).astype(np.int8)
    vectors = [*seen, *random[PICTURED:]]
    weights = read_card(DEFAULT_WEIGHTS).sha256
    rows = rows_of(
        tree,
        COUNT,
        embedding=[vector.tobytes() for vector in vectors],
        weights=[weights] * COUNT,
        input=[f"{folder}/{'a' if i < PICTURED else 'gone'}.parquet#{i}" for i in range(COUNT)],
    )
    projection = read_projection(DEFAULT_WEIGHTS, weights).sha256
    write_catalogue(str(folder / "catalogue"), tree, rows.cast(with_projection(rows.schema, projection)))
    (folder / "g3.png").write_bytes(pictures[3])
    (folder / "tags.csv").write_text("object_id,tag\ng5,ring\ng6,ring\ng6,odd\ng1,merger\n")
    return folder


def run(survey: Path, *words: str, out: str = "out") -> int:
    with pytest.raises(SystemExit) as ended:
        main(["similar", str(survey / "catalogue"), f"output={survey / out}", *words])
    return int(ended.value.code or 0)


def neighbours(survey: Path, out: str = "out") -> pa.Table:
    return pq.read_table(survey / out / "neighbours.parquet")


def test_neighbours_of_two_examples_less_a_third(survey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(survey, "object_id=g20,g21", "unlike=g22", "count=10", f"tags={survey}/tags.csv") == 0
    said = capsys.readouterr().out
    assert "10 look-alikes of g20, g21" in said
    table = neighbours(survey)
    similarity = table["similarity"].to_pylist()
    assert similarity == sorted(similarity, reverse=True)
    assert not {"g20", "g21", "g22"} & set(table["object_id"].to_pylist())
    page = parse((survey / "out" / "report.html").read_text())
    assert not page.unbalanced
    assert len(page.of("li", "tile")) == 13
    csv = (survey / "out" / "tables" / "neighbours.csv").read_text()
    assert csv.startswith("object_id,RA,Dec,similarity")


def test_a_picture_finds_its_own_galaxy(survey: Path) -> None:
    assert run(survey, f"image={survey}/g3.png", "count=5", out="picture") == 0
    table = neighbours(survey, "picture")
    assert table["object_id"][0].as_py() == "g3"
    assert table["similarity"][0].as_py() > 0.995
    page = parse((survey / "picture" / "report.html").read_text())
    assert len([image for image in page.of("img") if image.attributes["src"].startswith("data:")]) >= 2


def test_conditions_tags_and_regions(survey: Path) -> None:
    assert run(survey, "position=0.2,-1", "where=tag == 'ring'", f"tags={survey}/tags.csv", out="tagged") == 0
    table = neighbours(survey, "tagged")
    assert dict(zip(table["object_id"].to_pylist(), table["tags"].to_pylist(), strict=True)) == {
        "g5": "ring",
        "g6": "odd; ring",
    }
    assert run(survey, "object_id=g40", "cone=0.1,-1,0.0251", out="cone") == 0
    assert set(neighbours(survey, "cone")["object_id"].to_pylist()) == {f"g{n}" for n in range(8, 13)}


def test_an_index_keeps_to_conditions_and_regions(survey: Path, tree: DecisionTree) -> None:
    build(str(survey / "catalogue"), tree, str(survey / "index"))
    words = (
        "object_id=g40",
        "where=bar_yes > 0.3 and tag != 'ring'",
        "cone=0.1,-1,0.2",
        f"tags={survey}/tags.csv",
    )
    assert run(survey, *words, out="exact") == 0
    assert run(survey, *words, f"index={survey}/index", out="indexed") == 0
    assert neighbours(survey, "indexed").equals(neighbours(survey, "exact"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["object_id=nobody"], "has no galaxy 'nobody'"),
        (["object_id=g1", "unlike=nobody"], "has no galaxy 'nobody'"),
        (["object_id=g1,g2", "unlike=g2"], "galaxy 'g2' is an example and a counterexample"),
        ([], "nothing is searched for"),
        (["position=10,80"], "has no galaxy within 10 arcsec of 10, 80"),
        (["position=10"], "position='10': expected RA,DEC in degrees, such as 150.1,2.2"),
        (["object_id=g1", "cone=10,80,1"], "that the region and the condition leave"),
        (["object_id=g1", "where=beauty > 1"], "there is no column 'beauty'"),
        (["object_id=g1", "where=tag == 'ring'"], "there is no tag 'ring'"),
        (["image=tags.csv"], "tags.csv"),
        (["image=nowhere.png"], "nowhere.png"),
    ],
)
def test_what_is_refused_in_one_line(
    survey: Path,
    words: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(survey)
    assert run(survey, *words, out="none") == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert not (survey / "none").exists()


def test_a_picture_seen_by_another_network_is_refused(
    survey: Path, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    other = rows_of(tree, 5)
    write_catalogue(str(survey / "other" / "catalogue"), tree, other)
    assert run(survey / "other", f"image={survey}/g3.png") == 2
    assert "say weights=FILE that the catalogue is of" in capsys.readouterr().err
    sha = read_card(DEFAULT_WEIGHTS).sha256
    rows = rows_of(tree, 5, weights=[sha] * 5)
    rows = rows.cast(with_projection(rows.schema, "p" * 64))
    write_catalogue(str(survey / "third" / "catalogue"), tree, rows)
    assert run(survey / "third", f"image={survey}/g3.png") == 2
    assert "the projection to embeddings of" in capsys.readouterr().err
