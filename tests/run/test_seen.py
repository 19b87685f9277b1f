"""Galaxies that a catalogue's weights were trained on, by their pictures, as evaluate and triage see them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from jobs.cli import main
from jobs.recipes import seen as recipe
from pipeline.config import CONFIGS
from pipeline.errors import InputError
from pipeline.evaluation import rmse
from pipeline.network import (
    DEFAULT_WEIGHTS,
    Card,
    Ensemble,
    check_model,
    member_weights,
    read_card,
    save_ensemble,
    save_network,
)
from pipeline.network import seen as module
from pipeline.network.seen import picture_digest, read_seen, seen_uri, write_seen
from pipeline.run.seen import lists_of
from pipeline.training.labels import Labels
from pipeline.training.seen import digest_of, keep_seen
from pipeline.training.weights import judge
from pipeline.tree import DecisionTree, load_tree
from tests.support.galaxies import galaxy, png
from tests.support.trained import trained_like
from tests.support.voted import PICTURED, write_voted
from tests.support.votes import sample
from tests.training.small import SPEC

COUNT, SEEN = 120, 12
TREE = Path(CONFIGS, "trees", "galaxy_zoo_1.yaml")


@pytest.fixture(scope="module")
def tree() -> DecisionTree:
    """Of one question: most of a page's time goes into figures that have a panel for each."""
    return load_tree(TREE)


@pytest.fixture(scope="module")
def weights(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    weights = str(tmp_path_factory.mktemp("weights") / "w.safetensors")
    save_network(trained_like(SPEC, tree), weights, Card(network=SPEC, tree=tree.name, columns=tree.columns))
    return weights


@pytest.fixture(scope="module")
def answers(tree: DecisionTree) -> tuple[np.ndarray, np.ndarray]:
    return sample(tree, COUNT, np.random.default_rng(7))


@pytest.fixture
def survey(weights: str, tree: DecisionTree, answers: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Path:
    """120 galaxies with votes, of which 40 have a picture; the weights were trained on 12 of these."""
    write_voted(tmp_path, tree, *answers, weights=read_card(weights).sha256)
    trained_on(weights, tmp_path, range(SEEN))
    return tmp_path


def trained_on(weights: str, folder: Path, rows: range) -> None:
    """Let weights know pictures: as PNG, where the catalogue's were packed otherwise."""
    paths = [folder / f"{row}.png" for row in rows]
    for row, path in zip(rows, paths, strict=True):
        Image.fromarray(galaxy(row, 64)).save(path, compress_level=0)
        assert path.read_bytes() != png(galaxy(row, 64))
    keep_seen(weights, [str(path) for path in paths])


def run(verb: str, folder: Path, *words: str) -> int:
    given = [f"{folder}/catalogue", f"labels={folder}/votes.csv", f"output={folder}/out", f"tree={TREE}"]
    if verb == "evaluate":
        given += ["pictures=0", "shown=0"]
    with pytest.raises(SystemExit) as ended:
        main([verb, *given, *words])
    return int(ended.value.code or 0)


def test_what_was_trained_on_is_left_out_of_the_score(
    survey: Path,
    weights: str,
    answers: tuple[np.ndarray, np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    predicted, votes = (values.astype(np.float32) for values in answers)
    assert run("evaluate", survey, f"weights={weights}") == 0
    said = capsys.readouterr().out
    told = (
        f"trained on the pictures of {SEEN} of {COUNT} galaxies with votes; these are left out, and the other"
    )
    assert told in said
    assert f"The pictures of {COUNT - PICTURED} can’t be read to tell it; these count." in said
    assert f"{rmse(predicted[SEEN:], votes[SEEN:]):.4f}" in said
    page = (survey / "out" / "report.html").read_text()
    assert told in page
    assert "galaxies that the weights were trained on" in page

    assert run("evaluate", survey, f"weights={weights}", "include_seen=true") == 0
    said = capsys.readouterr().out
    assert f"the pictures of {SEEN} of these {COUNT} galaxies; all count." in said
    assert f"{rmse(predicted, votes):.4f}" in said


def test_triage_learns_nothing_from_what_was_trained_on(
    survey: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, count in (([], COUNT - SEEN), (["include_seen=true"], COUNT)):
        assert run("triage", survey, f"weights={weights}", "target=0.6", "subjects=0", *words) == 0
        page = (survey / "out" / "report.html").read_text()
        assert f"trained on the pictures of {SEEN}" in capsys.readouterr().out
        assert f"trained on the pictures of {SEEN}" in page
        assert f"<dd>{count}</dd>" in page or f">{count}<" in page


def test_where_it_cannot_be_known_it_is_said(
    survey: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", survey) == 0
    assert "isn’t known: name those that made the catalogue as weights=FILE" in capsys.readouterr().out
    Path(seen_uri(weights)).unlink()
    assert run("evaluate", survey, f"weights={weights}") == 0
    assert "isn’t known: they have no list of the pictures" in capsys.readouterr().out


def test_weights_that_are_not_the_catalogues_and_galaxies_that_are_all_known_are_refused(
    survey: Path, weights: str, tree: DecisionTree, capsys: pytest.CaptureFixture[str]
) -> None:
    network, others = trained_like(SPEC, tree), str(survey / "others.safetensors")
    torch.nn.init.zeros_(network.last.bias)
    save_network(network, others, read_card(weights))
    assert run("evaluate", survey, f"weights={others}") == 2
    assert f"was made by {read_card(weights).sha256[:12]}…" in capsys.readouterr().err
    lines = (survey / "votes.csv").read_text().splitlines()
    (survey / "votes.csv").write_text("\n".join(lines[: 1 + SEEN]))
    assert run("triage", survey, f"weights={weights}") == 2
    assert f"the pictures of all {SEEN} labelled galaxies" in capsys.readouterr().err
    trained_on(weights, survey, range(100, 101))
    assert run("triage", survey, f"weights={weights}", "subjects=0") == 0
    assert f"trained on none of the pictures of these {SEEN} galaxies" in capsys.readouterr().out


@given(arrays(np.uint8, (3, 4, 3)), st.integers(0, 35))
def test_a_digest_is_of_the_pixels_and_the_shape(pixels: np.ndarray, place: int) -> None:
    assert picture_digest(pixels) == picture_digest(np.asfortranarray(pixels))
    other = pixels.copy()
    other.flat[place] ^= 1
    assert picture_digest(other) != picture_digest(pixels) != picture_digest(pixels.reshape(4, 3, 3))


def test_training_lists_its_pictures_and_those_it_started_from(
    weights: str, tree: DecisionTree, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(galaxy(number, 64)))
    images = tuple(str(tmp_path / f"{number}.png") for number in range(3))
    first, second = str(tmp_path / "first.safetensors"), str(tmp_path / "second.safetensors")
    for written in (first, second):
        save_network(trained_like(SPEC, tree), written, read_card(weights))

    def labels(number: int) -> Labels:
        votes = np.full((1, tree.answer_count), np.nan, np.float32)
        return Labels(
            (str(number),), images[number : number + 1], np.array([np.nan]), votes, np.ones(1, np.float32)
        )

    judge(first, tree, labels(0), labels(2), companions=False)
    assert read_card(first).data["pictures"] == "first.seen.safetensors"
    judge(second, tree, labels(1), labels(2), companions=False, init=first)
    known = read_seen(second, read_card(second).sha256)
    assert known is not None
    found = known.has(np.array([digest_of(image) for image in images], np.uint64))
    assert found.tolist() == [True, True, False]
    assert known.about.lacks == ""
    Path(seen_uri(first)).unlink()
    assert "What first.safetensors was trained on" in keep_seen(second, images[1:2], init=first).about.lacks


def test_the_list_for_weights_that_have_none_passes_over_what_is_held_out(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(galaxy(number, 64)))
    (tmp_path / "t.csv").write_text("object_id,image\na,0.png\nb,1.png\nc,\n" + f"d,{tmp_path}/2.png\n")
    assert recipe.images_of(str(tmp_path / "t.csv"), {"b"}) == [f"{tmp_path}/0.png", f"{tmp_path}/2.png"]
    (tmp_path / "challenge.csv").write_text("GalaxyID,Class1.1\n100,0.5\n")
    (image,) = recipe.images_of(str(tmp_path / "challenge.csv"))
    assert image == f"{tmp_path}/images_training_rev1/100.jpg"
    (tmp_path / "bad.csv").write_text("name\na\n")
    with pytest.raises(InputError, match=r"bad\.csv has no column image, and no GalaxyID"):
        recipe.images_of(str(tmp_path / "bad.csv"))
    monkeypatch.setattr(sys, "argv", ["seen", weights, str(tmp_path / "t.csv"), "lacks=Two more."])
    recipe.main()
    known = read_seen(weights, read_card(weights).sha256)
    assert known is not None
    assert (len(known), known.about.lacks) == (3, "Two more.")


def test_of_many_pictures_half_of_each_digest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 10)
    digests = np.random.default_rng(1).integers(0, 2**64, 16, np.uint64)
    few = write_seen(str(tmp_path / "few.safetensors"), "f", digests[:8].tolist())
    many = write_seen(str(tmp_path / "many.safetensors"), "m", digests[8:15].tolist(), few)
    assert (few.digests.itemsize, many.digests.itemsize) == (8, 4)
    assert many.has(digests).tolist() == [True] * 15 + [False]
    again = read_seen(str(tmp_path / "many.safetensors"), "m")
    assert again is not None
    assert again.has(digests).tolist() == [True] * 15 + [False]


def test_a_list_of_other_weights_or_of_nothing_is_refused(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    assert read_seen(weights, "a" * 64) is None
    write_seen(weights, "b" * 64, [1, 2])
    with pytest.raises(InputError, match=r"is of weights bbbbbbbbbbbb…, and .* is aaaaaaaaaaaa…"):
        read_seen(weights, "a" * 64)
    for data in (b"", b"\x08" + bytes(7) + b'{"a": 1}', b"\xff" * 40):
        Path(seen_uri(weights)).write_bytes(data)
        with pytest.raises(InputError, match="is damaged"):
            read_seen(weights, "a" * 64)


def test_the_shipped_weights_say_what_they_saw() -> None:
    known = read_seen(DEFAULT_WEIGHTS, read_card(DEFAULT_WEIGHTS).sha256)
    assert known is not None
    assert len(known) >= read_card(DEFAULT_WEIGHTS).data["galaxies"]
    assert Path(seen_uri(DEFAULT_WEIGHTS)).stat().st_size <= 200_000
    noise = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)
    assert not known.has(noise).any()


def test_a_picture_once_encoded_with_loss_is_another() -> None:
    stream = io.BytesIO()
    Image.fromarray(galaxy(0, 64)).save(stream, "JPEG", quality=95)
    lossy = np.asarray(Image.open(stream))
    assert picture_digest(lossy) != picture_digest(galaxy(0, 64))


def test_each_network_of_an_ensemble_has_its_own_list(
    weights: str, tree: DecisionTree, tmp_path: Path
) -> None:
    files = [str(tmp_path / f"{name}.safetensors") for name in ("one", "two")]
    for number, file in enumerate(files):
        torch.manual_seed(number)
        save_network(trained_like(SPEC, tree), file, Card(network=SPEC, tree=tree.name, columns=tree.columns))
    members = {Path(file).name: read_card(file).sha256 for file in files}
    save_ensemble(both := str(tmp_path / "both.ensemble.json"), Ensemble(name="both", members=members))
    trained_on(files[0], tmp_path, range(2))
    trained_on(files[1], tmp_path, range(3))
    lists = lists_of(both, check_model(both, tree))
    assert [None if each is None else len(each) for each in lists] == [2, 3]
    assert member_weights(both, "two") == files[1]
    with pytest.raises(InputError, match="expected one of one, two"):
        member_weights(both, "three")
