"""What is measured of uncertainty tells honest catalogues from those that are too sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from pipeline.evaluation import Results, measure
from pipeline.evaluation.uncertainty import PIT_BINS, beta_crps, pit_density, sample_crps
from pipeline.tree import DecisionTree
from tests.confidence.votes import drawn_votes
from tests.support.catalogues import random_probabilities
from tests.support.uncertain import uncertainty_of

WORTH = 6.0
COUNT = 1500


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> tuple[np.ndarray, np.ndarray]:
    """Answers, and votes that scatter about them as those of six people would."""
    predicted = random_probabilities(COUNT)
    return predicted, drawn_votes(tree, predicted, WORTH, 40, np.random.default_rng(1))


def measured(tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray], worth: float) -> Results:
    return measure(tree, *galaxies, uncertainty_of(tree, galaxies[0], worth))


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0, 1))
def test_a_score_is_the_area_between_distribution_and_outcome(mean: float, strength: float, y: float) -> None:
    x = (np.arange(20_000) + 0.5) / 20_000
    between = betainc(mean * strength, (1 - mean) * strength, x) - (x >= y)
    assert float(beta_crps(mean, strength, y)) == pytest.approx(np.square(between).mean(), abs=1e-4)


def test_a_samples_own_score_is_that_of_its_steps() -> None:
    values = np.random.default_rng(0).integers(0, 41, 300) / 40
    x = (np.arange(8_000) + 0.5) / 8_000
    steps = (values[:, None] <= x).mean(axis=0)
    areas = [np.square(steps - (x >= y)).mean() for y in values]
    assert sample_crps(values) == pytest.approx(np.mean(areas), abs=1e-4)


def test_an_honest_catalogue_has_what_it_promises(
    tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray]
) -> None:
    results = measured(tree, galaxies, WORTH)
    assert results.uncertainty is not None
    for result, measured_of in zip(results.questions, results.uncertainty.questions, strict=True):
        assert measured_of.galaxies == len(result.asked)
        assert measured_of.low < measured_of.coverage < measured_of.high
        assert measured_of.volunteers == pytest.approx(WORTH, rel=1e-6)
        assert measured_of.crps < measured_of.crps_votes
    for first in results.uncertainty.questions[:1]:
        assert 0.88 < first.coverage < 0.95
        assert max(first.pit) < 1.4
        assert min(first.pit) > 0.6


def test_one_that_is_too_sure_is_found_out(
    tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray]
) -> None:
    honest, sure, shy = (measured(tree, galaxies, WORTH * factor).uncertainty for factor in (1, 20, 0.1))
    assert honest is not None
    assert sure is not None
    assert shy is not None
    for right, surer, shyer in zip(honest.questions, sure.questions, shy.questions, strict=True):
        assert surer.width < right.width < shyer.width
        assert surer.coverage < right.coverage
        assert max(surer.crps, shyer.crps) > right.crps
        assert surer.pit[0] + surer.pit[-1] > right.pit[0] + right.pit[-1]
    assert sure.questions[0].high < 0.9


def test_the_histogram_counts_every_vote_once_however_certain_the_answer() -> None:
    mean = np.array([1e-4, 1 - 1e-4, 0.5, 0.5, 1e-4])
    strength = np.array([1e5, 1e5, 1e-3, 1e5, 1e5])
    density = pit_density(mean, strength, np.array([0.0, 1.0, 0.0, 0.5, 1.0]))
    assert len(density) == PIT_BINS
    assert sum(density) == pytest.approx(PIT_BINS)
    assert min(density) >= 0
    assert density[-1] >= PIT_BINS / 5  # a vote that was said to be impossible


def test_questions_that_nobody_was_asked_have_no_figures(
    tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray]
) -> None:
    predicted, votes = galaxies
    votes = votes.copy()
    votes[:, tree.slices["bar"]] = np.nan
    results = measured(tree, (predicted, votes), WORTH)
    place = [question.key for question in tree.questions].index("bar")
    assert results.uncertainty is not None
    nobody = results.uncertainty.questions[place]
    assert nobody.galaxies == 0
    assert np.isnan(nobody.coverage)
    assert nobody.pit == ()


def test_pictures_unlike_the_training_pictures_are_scored_apart(
    tree: DecisionTree, galaxies: tuple[np.ndarray, np.ndarray]
) -> None:
    predicted, votes = galaxies
    strange = np.arange(COUNT) < 100
    votes = np.where(strange[:, None], np.roll(votes, 1, axis=0), votes)
    uncertainty = uncertainty_of(tree, predicted, WORTH, np.where(strange, 2.4, 0.5))
    measured_of = measure(tree, predicted, votes, uncertainty).uncertainty
    assert measured_of is not None
    assert (measured_of.familiar.galaxies, measured_of.unfamiliar.galaxies) == (COUNT - 100, 100)
    assert measured_of.unfamiliar.low > measured_of.familiar.high
    usual = measured(tree, galaxies, WORTH).uncertainty
    assert usual is not None
    assert usual.unfamiliar.galaxies == 0
