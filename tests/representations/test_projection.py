"""The projection from a hidden layer to embeddings: what it makes of galaxies, and its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.catalogue.embedding import NUMBERS, STEP
from pipeline.errors import InputError
from pipeline.representations import (
    Projection,
    fit_projection,
    projection_uri,
    read_projection,
    write_projection,
)
from pipeline.representations.fitting import SHRINKAGE

SHA256 = "a" * 64


def hidden(count: int, units: int, seed: int = 0) -> NDArray[np.float64]:
    """Activations of which each direction has half the variance of the one before, mixed by a rotation."""
    random = np.random.default_rng(seed)
    spread = np.sqrt(np.maximum(0.5 ** np.arange(units), 1e-12))
    mixed = np.linalg.qr(np.random.default_rng(1).normal(size=(units, units)))[0]
    return 3.0 + random.normal(size=(count, units)) * spread @ mixed


def test_the_numbers_are_uncorrelated_and_of_about_the_same_spread() -> None:
    projection = fit_projection(hidden(4000, 100), SHA256)
    numbers = STEP * projection(hidden(4000, 100, seed=2))
    assert numbers.shape == (4000, NUMBERS)
    assert np.abs(numbers.mean(axis=0)).max() < 0.1
    spread = numbers.std(axis=0)
    expected = np.sqrt(0.5 ** np.arange(5) / (0.5 ** np.arange(5) + SHRINKAGE))
    np.testing.assert_allclose(spread[:5], expected, rtol=0.08)
    correlations = np.corrcoef(numbers[:, :5], rowvar=False) - np.eye(5)
    assert np.abs(correlations).max() < 0.1


def test_directions_in_which_galaxies_hardly_differ_stay_small() -> None:
    projection = fit_projection(hidden(4000, 100), SHA256)
    spread = STEP * projection(hidden(4000, 100, seed=2)).std(axis=0)
    assert spread[14:].max() < 0.15
    assert not spread[30:].any()
    assert projection.about.explained_variance > 0.99


def test_a_layer_of_fewer_units_fills_up_with_zeros() -> None:
    projection = fit_projection(hidden(300, 24), SHA256)
    embeddings = projection(hidden(9, 24, seed=2))
    assert embeddings.shape == (9, NUMBERS)
    assert embeddings.dtype == np.int8
    assert embeddings[:, 0].any()
    assert not embeddings[:, 24:].any()


def test_the_rarest_galaxies_end_at_the_edge_and_what_is_not_finite_in_the_middle() -> None:
    projection = fit_projection(hidden(300, 24), SHA256)
    strange = np.stack([1e6 * projection.directions[0], np.full(24, np.nan), np.full(24, np.inf)])
    far, *unknown = projection(strange)
    assert far[0] == 127
    assert not np.any(unknown)


def test_it_is_the_same_wherever_it_is_fitted_and_written(tmp_path: Path) -> None:
    first, second = (fit_projection(values, SHA256) for values in (hidden(300, 24), -hidden(300, 24)))
    np.testing.assert_allclose(first.directions, second.directions, rtol=1e-4, atol=1e-4)
    files = []
    for name in ("a", "b"):
        write_projection(str(tmp_path / f"{name}.safetensors"), first)
        files.append((tmp_path / f"{name}.embedding.safetensors").read_bytes())
    assert files[0] == files[1]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    return str(tmp_path / "w.safetensors")


@pytest.fixture
def projection(weights: str) -> Projection:
    made = fit_projection(hidden(300, 24), SHA256)
    write_projection(weights, made)
    return made


def test_it_is_read_as_it_was_written(projection: Projection, weights: str) -> None:
    read = read_projection(weights, SHA256)
    assert read.about == projection.about
    assert read.about.galaxies == 300
    np.testing.assert_array_equal(read(hidden(5, 24)), projection(hidden(5, 24)))
    assert read.sha256 == projection.sha256
    assert replace(projection, mean=projection.mean + 1).sha256 != projection.sha256


def test_weights_without_one_say_how_to_get_it(weights: str) -> None:
    with pytest.raises(InputError, match=r"no .*w\.embedding\.safetensors: leave embedding=true out, or"):
        read_projection(weights, SHA256)


def test_that_of_other_weights_is_refused(projection: Projection, weights: str) -> None:
    assert projection.about.weights_sha256 == SHA256
    with pytest.raises(InputError, match=r"is of weights aaaaaaaaaaaa…, and .* is bbbbbbbbbbbb…"):
        read_projection(weights, "b" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"not safetensors at all",
        lambda data: data.replace(b"directions", b"directives"),
        lambda data: data.replace(b'"about"', b'"above"'),
    ],
    ids=["truncated", "something else", "another array", "no metadata"],
)
def test_a_damaged_one_is_refused(
    damage: Callable[[bytes], bytes], projection: Projection, weights: str
) -> None:
    file = Path(projection_uri(weights))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"is damaged: .*; fetch it again"):
        read_projection(weights, projection.about.weights_sha256)


def test_one_of_another_version_or_size_is_refused(projection: Projection, weights: str) -> None:
    later = projection.about.model_copy(update={"version": 2})
    for other in (
        replace(projection, about=later),
        replace(projection, directions=projection.directions[:9]),
    ):
        write_projection(weights, other)
        with pytest.raises(InputError, match=r"learn it again with this version"):
            read_projection(weights, SHA256)
