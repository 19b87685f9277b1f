"""Principal components of a hidden layer, of which a projection to embeddings is made."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline.catalogue.embedding import NUMBERS
from pipeline.representations.projection import AboutProjection, Projection

SHRINKAGE = 0.01
"""Of the variance of the first direction: what is added to each direction's before it is divided by it.

Directions in which galaxies hardly differ tell little of them. Without this they would count as much as all
others, and fewer of a galaxy's neighbours would be of its kind.
"""


def fit_projection(hidden: ArrayLike, weights_sha256: str) -> Projection:
    """Principal components, each scaled to about the same variance (whitened).

    Parameters
    ----------
    hidden : array_like, shape (n, units)
        Mean activations of galaxies of the kind that the network knows.
    weights_sha256
        Of the network's weight file.
    """
    values = np.asarray(hidden, np.float64)
    mean = values.mean(axis=0)
    variances, vectors = np.linalg.eigh(np.cov(values, rowvar=False))
    order = np.argsort(variances)[::-1][:NUMBERS]
    kept, components = np.maximum(variances[order], 0.0), vectors[:, order].T
    # An eigenvector's sign is arbitrary; this makes it the same wherever it is computed.
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(order)), largest])[:, None]
    directions = np.zeros((NUMBERS, values.shape[1]), np.float32)
    directions[: len(order)] = components / np.sqrt(kept + SHRINKAGE * kept[0])[:, None]
    about = AboutProjection(
        weights_sha256=weights_sha256,
        galaxies=len(values),
        explained_variance=round(float(kept.sum() / variances.sum()), 4),
    )
    return Projection(about, mean.astype(np.float32), directions)
