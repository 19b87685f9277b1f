"""The file beside weights that says how sure they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.confidence import Concentrations, Familiarity
from pipeline.confidence.document import Confidence, confidence_uri, read_confidence, write_confidence
from pipeline.errors import InputError
from pipeline.network import DEFAULT_WEIGHTS, check_model
from pipeline.tree import load_tree

MODEL = check_model(DEFAULT_WEIGHTS, load_tree())
CONFIDENCE = Confidence(
    model_sha256=MODEL.sha256,
    galaxies=200,
    concentrations=Concentrations(mean_roots=(0.5,) * 37, questions={}),
    familiarity=Familiarity(
        mean=(0.0, 1.0), whitening=((1.0, 0.0), (0.5, 2.0)), usual=2.0, size=0.3, smallest=0.2, largest=0.5
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


def test_weights_without_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*/w\.confidence\.json: leave uncertainty=true out"):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.confidence.json").write_text("[1]")
    with pytest.raises(InputError, match="is not the confidence of weights: it holds list"):
        read_confidence(str(tmp_path / "w.safetensors"), MODEL)
