"""Uncertainties fitted to a user's own votes, as the user does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.calibrate import completed
from jobs.cli import main
from pipeline.confidence import Concentrations, Familiarity, question_coverage
from pipeline.confidence.document import Confidence, confidence_uri, read_confidence, write_confidence
from pipeline.config import CONFIGS
from pipeline.network import Card, check_model, save_network
from pipeline.network.seen import read_seen, write_seen
from pipeline.tree import DecisionTree, load_tree
from tests.support.trained import trained_like
from tests.support.uncertain import constant_concentrations
from tests.support.voted import write_voted
from tests.training.small import SPEC

COUNT = 600
TREE = Path(CONFIGS, "trees", "galaxy_zoo_1.yaml")
WORTH = 4.0
STATISTICS = SPEC.convolutions[0].filters + 9


@pytest.fixture(scope="module")
def tree() -> DecisionTree:
    return load_tree(TREE)


@pytest.fixture(scope="module")
def weights(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights whose answers are said to be worth 200 volunteers."""
    weights = str(tmp_path_factory.mktemp("weights") / "w.safetensors")
    save_network(trained_like(SPEC, tree), weights, Card(network=SPEC, tree=tree.name, columns=tree.columns))
    model = check_model(weights, tree)
    write_seen(weights, model.sha256, [1, 2, 3])
    zeros, row = (0.0,) * STATISTICS, (1.0,) * STATISTICS
    familiarity = Familiarity(
        mean=zeros, whitening=(row,) * STATISTICS, usual=2.0, size=0.3, smallest=0.2, largest=0.5
    )
    sure = Confidence(
        model_sha256=model.sha256,
        galaxies=COUNT,
        concentrations=constant_concentrations(tree, 200.0),
        familiarity=familiarity,
    )
    write_confidence(weights, sure)
    return weights


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> tuple[np.ndarray, np.ndarray]:
    """Answers, and the votes of forty people that scatter about them as the answers of four would."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.full(tree.answer_count, 0.8), COUNT)
    truth = np.array([rng.dirichlet(WORTH * row + 1e-3) for row in shares])
    return shares, np.array([rng.multinomial(40, row / row.sum()) for row in truth]) / 40


@pytest.fixture
def survey(weights: str, tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Path:
    write_voted(tmp_path, tree, *galaxies, weights=check_model(weights, tree).sha256)
    return tmp_path


def run(folder: Path, weights: str, *words: str) -> int:
    given = [f"{folder}/catalogue", f"labels={folder}/votes.csv", f"output={folder}/out", f"tree={TREE}"]
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *given, f"weights={weights}", *words])
    return int(ended.value.code or 0)


def test_intervals_hold_the_votes_that_they_were_fitted_to(
    survey: Path,
    weights: str,
    tree: DecisionTree,
    galaxies: tuple[np.ndarray, np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(survey, weights) == 0
    copied = str(survey / "out" / "w.safetensors")
    model = check_model(copied, tree)
    assert model.sha256 == check_model(weights, tree).sha256
    before, after = read_confidence(weights, model), read_confidence(copied, model)
    assert after.familiarity == before.familiarity
    assert after.galaxies == COUNT
    (key,) = (question.key for question in tree.questions)
    assert question_coverage(tree, key, before.concentrations, *galaxies) < 0.7
    assert question_coverage(tree, key, after.concentrations, *galaxies) == pytest.approx(0.9, abs=0.01)
    assert after.coverage[key] == pytest.approx(0.9, abs=0.03)
    seen = read_seen(copied, model.sha256)
    assert seen is not None
    assert len(seen) == 3
    printed = capsys.readouterr().out
    assert f"{after.coverage[key]:.1%}" in printed
    assert copied in printed


def test_questions_that_too_few_were_asked_keep_what_was_known_of_them() -> None:
    tree = load_tree()
    rng = np.random.default_rng(1)
    answers = rng.random((3, 2, tree.answer_count))
    slopes = tuple(rng.normal(size=tree.answer_count).tolist())
    known = constant_concentrations(tree, 30.0).questions["bar"].model_copy(update={"slopes": slopes})
    roots = (tuple(row) for row in np.sqrt(answers[0]).tolist())
    before = Concentrations(mean_roots=next(roots), questions={"bar": known, "something_odd": known})
    other = constant_concentrations(tree, 5.0).questions["something_odd"]
    fitted = Concentrations(mean_roots=next(roots), questions={"something_odd": other})
    both = completed(fitted, before)
    bar, odd = ([q.key for q in tree.questions].index(key) for key in ("bar", "something_odd"))
    assert both.of(tree, answers[1])[:, bar] == pytest.approx(before.of(tree, answers[1])[:, bar])
    assert both.of(tree, answers[1])[:, odd] == pytest.approx(5.0)


def test_it_is_done_again_with_other_votes(survey: Path, weights: str, tree: DecisionTree) -> None:
    assert run(survey, weights) == 0
    copied = str(survey / "out" / "w.safetensors")
    first = Path(confidence_uri(copied)).read_bytes()
    assert run(survey, copied, f"output={survey}/again") == 0
    again = str(survey / "again" / "w.safetensors")
    assert Path(confidence_uri(again)).read_bytes() == first
    pd.read_csv(survey / "votes.csv").iloc[:300].to_csv(survey / "votes.csv", index=False)
    assert run(survey, copied, f"output={survey}/again") == 0
    assert read_confidence(again, check_model(again, tree)).galaxies == 300


def test_what_cannot_be_fitted_is_refused_and_nothing_is_written(
    survey: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(survey, weights, f"output={Path(weights).parent}") == 2
    assert "is where the weights lie; name another folder" in capsys.readouterr().err
    pd.read_csv(survey / "votes.csv").iloc[:199].to_csv(survey / "votes.csv", index=False)
    assert run(survey, weights) == 2
    assert "199 galaxies" in (refused := capsys.readouterr().err)
    assert "take at least 200" in refused
    Path(survey, "two.ensemble.json").write_text("{}")
    assert run(survey, f"{survey}/two.ensemble.json") == 2
    assert "expected the weights of a single network" in capsys.readouterr().err
    Path(survey, "alone.safetensors").write_bytes(Path(weights).read_bytes())
    Path(survey, "alone.json").write_bytes(Path(weights).with_suffix(".json").read_bytes())
    assert run(survey, f"{survey}/alone.safetensors") == 2
    assert "can't say how sure it is" in capsys.readouterr().err
    assert not Path(survey, "out").exists()
