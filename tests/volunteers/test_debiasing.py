"""Shares corrected for distance: bias goes, sums stay, and what can't be corrected stays as it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from pipeline.volunteers import fractions
from pipeline.volunteers.debiasing import (
    LOW_REDSHIFT,
    Galaxies,
    fit_distributions,
    fit_ratios,
    learn_debiasing,
    physical,
    read_galaxies,
)
from pipeline.volunteers.debiasing.distributions import _FORMS
from pipeline.volunteers.debiasing.learning import Fit
from pipeline.volunteers.debiasing.ratios import _places
from tests.support.distant import FARTHEST, Distant, survey

COUNT = 12_000
METHODS: dict[str, Fit] = {"ratios": fit_ratios, "distributions": fit_distributions}


@pytest.fixture(scope="module")
def distant(tree: DecisionTree) -> Distant:
    rng = np.random.default_rng(1)
    pool = np.hstack([rng.dirichlet(np.full(len(q.answers), 0.7), 3_000) for q in tree.questions])
    return survey(tree, pool, COUNT, 40, "odds", rng)


@pytest.mark.parametrize("method", METHODS)
def test_bias_goes(tree: DecisionTree, distant: Distant, method: str) -> None:
    where = tree.slices[tree.questions[0].key]
    shares = fractions(tree, distant.counts)[:, where]
    correction = METHODS[method](shares, distant.galaxies)
    assert correction is not None
    after, done = correction.apply(shares, distant.galaxies)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    far = done & (distant.galaxies.redshift > 0.09)
    bias = [np.abs((one - distant.truth[:, where])[far].mean(axis=0)).max() for one in (shares, after)]
    assert bias[0] > 0.08
    assert bias[1] < bias[0] / 3
    near = distant.galaxies.redshift < 0.02
    if method == "distributions":
        np.testing.assert_allclose(after[near], shares[near], atol=1e-6)


def test_what_differs_among_near_galaxies_is_not_carried_outwards(
    tree: DecisionTree, distant: Distant
) -> None:
    """Galaxies within the low redshift are unbiased: how near they are is of no account."""
    galaxies, where = distant.galaxies, tree.slices[tree.questions[0].key]
    shares, near = fractions(tree, distant.counts)[:, where], galaxies.redshift < LOW_REDSHIFT
    nearer = Galaxies(galaxies.magnitude, galaxies.size, galaxies.redshift / np.where(near, 10, 1))
    found = []
    for some in (galaxies, nearer):
        correction = fit_distributions(shares, some)
        assert correction is not None
        found.append(correction.apply(shares, some)[0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    np.testing.assert_allclose(found[0][near], shares[near], atol=1e-6)


def test_one_round_is_the_paper_s_formula(tree: DecisionTree, distant: Distant) -> None:
    where = tree.slices[tree.questions[0].key]
    shares = fractions(tree, distant.counts)[:, where]
    correction = fit_ratios(shares, distant.galaxies, rounds=1)
    assert correction is not None
    after, done = correction.apply(shares, distant.galaxies)
    places = _places(distant.galaxies, correction.widths)
    for row in np.flatnonzero(done & (shares > 0).all(axis=1))[:50]:
        bias = correction.corrections[(correction.places == places[row]).all(axis=1)][0]
        f = shares[row]
        for i in range(len(f)):
            k = [10 ** (bias[j] - bias[i]) for j in range(len(f))]
            expected = 1 / (1 + sum(k[j] * f[j] / f[i] for j in range(len(f)) if j != i))
            assert after[row, i] == pytest.approx(expected)


@pytest.mark.parametrize("form", _FORMS)
def test_curves_are_turned_round(form: str) -> None:
    curve, inverse = _FORMS[form]  # type: ignore[index]
    x, k, c = np.linspace(-2, -0.01, 50), np.full(50, 3.0), np.full(50, 0.3)
    rank = curve(x, k, c)
    assert (np.diff(rank) > 0).all()
    np.testing.assert_allclose(inverse(rank, k, c), x, atol=1e-9)


def test_what_cannot_be_corrected_stays(tree: DecisionTree, distant: Distant) -> None:
    shares = fractions(tree, distant.counts)
    unknown = Galaxies(*(getattr(distant.galaxies, n).copy() for n in ("magnitude", "size", "redshift")))
    unknown.redshift[:100] = np.nan
    unknown.size[100:200] = 0
    fit = partial(fit_ratios, rounds=3)
    debiasing = learn_debiasing(tree, shares, unknown, fit)
    after, done = debiasing.apply(shares, unknown)
    assert not done[:200].any()
    np.testing.assert_array_equal(after[:200], shares[:200])
    assert done[200:, 0].mean() > 0.5
    assert ((after == 0) == (shares == 0)).all()


def test_questions_are_learnt_where_corrected_shares_lead(tree: DecisionTree, distant: Distant) -> None:
    shares = fractions(tree, distant.counts)
    gate = tree.slices[tree.questions[0].key].start + 1
    debiasing = learn_debiasing(tree, shares, distant.galaxies, partial(fit_ratios, rounds=30))
    assert debiasing.learnt_from[tree.questions[1].key] > (shares[:, gate] >= 0.5).sum()


def test_too_few_galaxies_teach_nothing(tree: DecisionTree, distant: Distant) -> None:
    few = np.arange(60)
    shares = fractions(tree, distant.counts)[few]
    for fit in METHODS.values():
        debiasing = learn_debiasing(tree, shares, distant.galaxies.take(few), fit)
        assert not any(debiasing.corrections.values())
        assert not debiasing.apply(shares, distant.galaxies.take(few))[1].any()


def test_galaxies_at_one_redshift_teach_nothing(tree: DecisionTree, distant: Distant) -> None:
    same = Galaxies(distant.galaxies.magnitude, distant.galaxies.size, np.full(COUNT, FARTHEST))
    where = tree.slices[tree.questions[0].key]
    for fit in METHODS.values():
        assert fit(fractions(tree, distant.counts)[:, where], same) is None


def test_apparent_properties_become_physical_ones() -> None:
    found = physical(
        Galaxies(np.array([17.0, 17, np.nan]), np.array([2.0, 2, 2]), np.array([0.1, np.nan, 0.1]))
    )
    assert found.magnitude[0] == pytest.approx(17 - 38.32, abs=0.01)
    assert found.size[0] == pytest.approx(3.69, abs=0.01)
    assert found.complete.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("object_id,magnitude,size\na,1,2\n", "has no column 'redshift'"),
        ("object_id,magnitude,size,redshift\na,bright,2,0.1\n", "has 'bright' for 'magnitude' of 'a'"),
        ("object_id,magnitude,size,redshift\na,1,2,0.1\na,1,2,0.1\n", "has 'a' twice"),
        ("", "is no Parquet file or CSV"),
    ],
)
def test_a_wrong_table_of_galaxies_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "galaxies.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_galaxies(str(tmp_path / "galaxies.csv"), "magnitude", "size", "redshift")


def test_ids_are_texts_and_gaps_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "galaxies.csv").write_text("object_id,magnitude,size,redshift\n007,-20,3,\n8,-21,2,0.1\n")
    ids, galaxies = read_galaxies(str(tmp_path / "galaxies.csv"), "magnitude", "size", "redshift")
    assert ids.tolist() == ["007", "8"]
    assert galaxies.complete.tolist() == [False, True]
