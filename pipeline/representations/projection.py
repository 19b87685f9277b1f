"""From a network's last hidden layer to an embedding: ``<weights>.embedding.safetensors``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline import storage
from pipeline.catalogue.embedding import NUMBERS, STEP
from pipeline.companion import AboutCompanion, read_companion, write_companion
from pipeline.errors import InputError

VERSION = 1
"""Raise it when a projection's numbers come to mean something else."""

_SUFFIX = ".embedding.safetensors"
_MEAN, _DIRECTIONS = "mean", "directions"
_MOST = 127


class AboutProjection(AboutCompanion):
    """What a projection is of.

    Attributes
    ----------
    galaxies
        How many it was learnt from.
    explained_variance
        Share of the hidden layer's variance that lies in the directions that are kept.
    """

    version: int = VERSION
    galaxies: int
    explained_variance: float


@dataclass(frozen=True)
class Projection:
    """A linear map from a network's last hidden layer to 64 numbers.

    Attributes
    ----------
    about
        Which network it is of, and what it was learnt from.
    mean : ndarray, shape (units,), float32
        Of the hidden layer, over galaxies.
    directions : ndarray, shape (64, units), float32
        What the difference from the mean is multiplied by.
    """

    about: AboutProjection
    mean: NDArray[np.float32]
    directions: NDArray[np.float32]

    def __call__(self, hidden: ArrayLike) -> NDArray[np.int8]:
        """Embeddings of n galaxies, shape (n, 64): whole multiples of `STEP`.

        Parameters
        ----------
        hidden : array_like, shape (n, units)
            Mean activations over the sixty transforms; those that aren't finite count as the mean.
        """
        values = np.nan_to_num(np.asarray(hidden, np.float32) - self.mean, posinf=0.0, neginf=0.0)
        steps = np.clip(np.rint(values @ self.directions.T / STEP), -_MOST, _MOST)
        embeddings: NDArray[np.int8] = steps.astype(np.int8)
        return embeddings

    @property
    def sha256(self) -> str:
        """Digest of all that decides embeddings, for the fingerprint of a run."""
        about = f"{self.about.version} {self.about.weights_sha256} ".encode()
        return hashlib.sha256(about + self.mean.tobytes() + self.directions.tobytes()).hexdigest()


def projection_uri(weights: str) -> str:
    """Where the projection of a weight file lies."""
    return weights.removesuffix(".safetensors") + _SUFFIX


def write_projection(weights: str, projection: Projection) -> None:
    """Write a projection beside its weights."""
    arrays = {_MEAN: projection.mean, _DIRECTIONS: projection.directions}
    write_companion(projection_uri(weights), arrays, projection.about)


def read_projection(weights: str, weights_sha256: str) -> Projection:
    """The projection of a weight file.

    Raises
    ------
    InputError
        If there is none, it is one of other weights, or can't be read.
    """
    uri = projection_uri(weights)
    if not storage.exists(uri):
        raise InputError(
            f"{weights} can't give embeddings, for there is no {uri}: leave embedding=true out, or learn it "
            f"with `python -m jobs.recipes.embedding {weights} PICTURES`; training again learns it, too"
        )
    about, (mean, directions) = read_companion(
        AboutProjection, uri, weights, weights_sha256, (_MEAN, _DIRECTIONS)
    )
    if about.version != VERSION or directions.shape != (NUMBERS, len(mean)):
        raise InputError(
            f"{uri} is of version {about.version} with directions of shape {directions.shape}; expected "
            f"version {VERSION} with ({NUMBERS}, {len(mean)}): learn it again with this version"
        )
    return Projection(about, mean, directions)
