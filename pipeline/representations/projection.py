"""From a network's last hidden layer to an embedding: ``<weights>.embedding.safetensors``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from pipeline import storage
from pipeline.catalogue.embedding import NUMBERS, STEP
from pipeline.config import StrictModel, validate
from pipeline.errors import InputError

VERSION = 1
"""Raise it when a projection's numbers come to mean something else."""

_SUFFIX = ".embedding.safetensors"
_ABOUT = "about"
_MOST = 127


class About(StrictModel):
    """What a projection is of.

    Attributes
    ----------
    weights_sha256
        Of the network's weight file.
    galaxies
        How many it was learnt from.
    explained_variance
        Share of the hidden layer's variance that lies in the directions that are kept.
    """

    version: int = VERSION
    weights_sha256: str
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

    about: About
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
    arrays = {"mean": projection.mean, "directions": projection.directions}
    # Under one key: several would be written in another order each time.
    data = save_arrays(arrays, {_ABOUT: projection.about.model_dump_json()})
    storage.write_bytes(projection_uri(weights), data)


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
    data = storage.read_bytes(uri)
    try:
        arrays, about = load_arrays(data), json.loads(_metadata(data)[_ABOUT])
        mean, directions = arrays["mean"], arrays["directions"]
    except (SafetensorError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{uri} is not a projection to embeddings: {reason}; fetch it again") from error
    known = validate(About, about, uri)
    if known.weights_sha256 != weights_sha256:
        raise InputError(
            f"{uri} is of weights {known.weights_sha256[:12]}…, and {weights} is {weights_sha256[:12]}…: "
            "fetch both again, or train anew"
        )
    if known.version != VERSION or directions.shape != (NUMBERS, len(mean)):
        raise InputError(
            f"{uri} is of version {known.version} with directions of shape {directions.shape}; expected "
            f"version {VERSION} with ({NUMBERS}, {len(mean)}): learn it again with this version"
        )
    return Projection(known, mean, directions)


def _metadata(data: bytes) -> dict[str, str]:
    """What a safetensors file says beside its arrays; its header is JSON, after the header's length."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata
