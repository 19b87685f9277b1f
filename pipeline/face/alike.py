"""A picture as the example of a search in a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.catalogue.embedding import EMBEDDING
from pipeline.errors import InputError
from pipeline.representations import Embeddings, Examples, example_columns, read_projection
from pipeline.tree import load_tree

if TYPE_CHECKING:
    import pandas as pd


def example_of_picture(embeddings: Embeddings, picture: str, weights: str, tree: str) -> Examples:
    """A picture as an example, seen by the network that the catalogue is of.

    Parameters
    ----------
    picture
        URI of a JPEG or PNG: one galaxy, in a frame like those of the catalogue.
    weights, tree
        Files of the network and of the questions.

    Raises
    ------
    InputError
        If it can't be read, or the weights or their projection aren't those of the catalogue.
    """
    from pipeline.face.classifier import Classifier
    from pipeline.network import check_model, member_weights

    model = check_model(weights, load_tree(tree))
    projection = read_projection(member_weights(weights), model.cards[0].sha256)
    for name, own, theirs in (
        ("weights", model.sha256, embeddings.weights),
        ("projection to embeddings", projection.sha256, embeddings.projection),
    ):
        if own != theirs:
            raise InputError(
                f"the {name} of {weights} ({own[:12]}…) isn't that of {embeddings.uri} ({theirs[:12]}…), so "
                "that the picture's vector can't be compared; say weights=FILE that the catalogue is of"
            )
    data, name = storage.read_bytes(picture), storage.name(picture)
    try:
        answers = Classifier(weights, tree, embedding=True).predict([data])
    except InputError as error:
        raise InputError(f"image={picture}: {str(error).removeprefix('image 0: ')}") from error
    return Examples(_row(embeddings, name, answers), np.stack(answers[EMBEDDING].tolist()), {name: data})


def _row(embeddings: Embeddings, name: str, answers: pd.DataFrame) -> pa.Table:
    schema = example_columns(embeddings)
    known = {column: answers[column].iloc[0] for column in schema.names if column in answers.columns}
    row = known | {"object_id": name}
    columns = [pa.array([row.get(field.name)], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
