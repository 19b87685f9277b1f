"""What a network makes of galaxies before it answers: embeddings, one vector each. No torch."""

from pipeline.representations.alike import look_alikes, shared_answers, usual_answers
from pipeline.representations.examples import Examples, example_columns, examples_by_id
from pipeline.representations.fitting import fit_projection
from pipeline.representations.projection import (
    Projection,
    projection_uri,
    read_projection,
    write_projection,
)
from pipeline.representations.reading import EmbeddingBatch, Embeddings, open_embeddings
from pipeline.representations.search import Nearest, Scan, cosines, direction

__all__ = [
    "EmbeddingBatch",
    "Embeddings",
    "Examples",
    "Nearest",
    "Projection",
    "Scan",
    "cosines",
    "direction",
    "example_columns",
    "examples_by_id",
    "fit_projection",
    "look_alikes",
    "open_embeddings",
    "projection_uri",
    "read_projection",
    "shared_answers",
    "usual_answers",
    "write_projection",
]
