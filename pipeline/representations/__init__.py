"""What a network makes of galaxies before it answers: embeddings, one vector each. No torch."""

from pipeline.representations.fitting import fit_projection
from pipeline.representations.projection import (
    Projection,
    projection_uri,
    read_projection,
    write_projection,
)
from pipeline.representations.reading import EmbeddingBatch, Embeddings, open_embeddings

__all__ = [
    "EmbeddingBatch",
    "Embeddings",
    "Projection",
    "fit_projection",
    "open_embeddings",
    "projection_uri",
    "read_projection",
    "write_projection",
]
