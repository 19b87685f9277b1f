"""The file beside weights that says how sure they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.confidence import Concentrations, Familiarity
from pipeline.confidence.document import Confidence, confidence_uri, read_confidence, write_confidence
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.tree import load_tree

MODEL = check_model(DEFAULT_WEIGHTS, load_tree())
COUNT = 41
CONFIDENCE = Confidence(
    model_sha256=MODEL.sha256,
    galaxies=200,
    concentrations=Concentrations(mean_roots=(0.5,) * 37, questions={}),
    familiarity=Familiarity(
        mean=(0.0,) * COUNT,
        whitening=((1.0, *(0.5,) * (COUNT - 1)),) * COUNT,
        usual=2.0,
        size=0.3,
        smallest=0.2,
        largest=0.5,
    ),
)


@pytest.mark.parametrize(("weights", "file"), [("a/b.safetensors", "a/b"), ("a/b.ensemble.json", "a/b")])
def test_it_lies_beside_weights(weights: str, file: str) -> None:
    assert confidence_uri(weights) == f"{file}.confidence.json"


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    write_confidence(weights, CONFIDENCE)
    assert read_confidence(weights, MODEL) == CONFIDENCE
    assert read_confidence(weights, MODEL).sha256 == CONFIDENCE.sha256


def test_one_of_other_weights_is_refused(tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    write_confidence(weights, CONFIDENCE.model_copy(update={"model_sha256": "f" * 64}))
    with pytest.raises(InputError, match=r"is of weights ffffffffffff…, and .*: fetch both again"):
        read_confidence(weights, MODEL)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("concentrations", "mean_roots"), "concentrations.mean_roots has 36 entries, expected 37"),
        (("concentrations", "questions", "bar", "slopes"), "the slopes of bar has 36 entries, expected 37"),
        (("familiarity", "mean"), "familiarity.mean has 40 entries, expected 41"),
        (("familiarity", "whitening"), "familiarity.whitening has 40 entries, expected 41"),
        (("familiarity", "whitening", 3), "a row of familiarity.whitening has 40 entries, expected 41"),
    ],
)
def test_one_that_lacks_a_number_is_refused(
    place: tuple[str | int, ...], message: str, tmp_path: Path
) -> None:
    values = json.loads(Path(confidence_uri(DEFAULT_WEIGHTS)).read_text())
    part = values
    for step in place:
        part = part[step]
    part.pop()
    (tmp_path / "w.confidence.json").write_text(json.dumps(values))
    with pytest.raises(
        InputError, match=re.escape(f"w.confidence.json is damaged: {message}; fetch it again")
    ):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)


@pytest.mark.parametrize("name", ["usual", "size"])
def test_one_by_which_scores_would_be_infinite_is_refused(name: str, tmp_path: Path) -> None:
    values = CONFIDENCE.model_dump(mode="json")
    values["familiarity"][name] = 0
    (tmp_path / "w.confidence.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"familiarity\.{name} is 0.0, expected a number above 0"):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)


def test_weights_without_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*/w\.confidence\.json: leave uncertainty=true out"):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.confidence.json").write_text("[1]")
    with pytest.raises(InputError, match="is not the confidence of weights: it holds list"):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)
