"""The galaxies on which a catalogue and the volunteers differ most and least, with their pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluation import Results
from pipeline.evaluation.labelled import Labelled
from pipeline.report.document import Picture
from pipeline.report.evaluation import Extremes
from pipeline.report.thumbnails import thumbnail
from pipeline.run.cutouts import readable_cutouts, reader_of
from pipeline.tree import DecisionTree, morphology_class, most_probable_path

_PICTURE_SIDE = 160


def extreme_galaxies(catalogue: str, own: Labelled, results: Results, limit: int) -> Extremes:
    """The galaxies whose answers are farthest from the votes and nearest to them, at most `limit` of each.

    Parameters
    ----------
    catalogue
        The folder that `own` was read from.
    """
    voted = np.flatnonzero(~np.isnan(results.galaxies))
    order = voted[np.argsort(results.galaxies[voted], kind="stable")]
    count = min(limit, (len(order) + 1) // 2)
    easiest, hardest = order[:count], order[::-1][:count]
    pictures = _pictures(catalogue, own, np.concatenate([easiest, hardest]))
    if not pictures:
        return Extremes((), (), "no cutout could be read where the catalogue says that it was.")

    def shown(rows: NDArray[np.int64]) -> list[Picture]:
        return [
            Picture(own.ids[i], pictures[own.ids[i]], _text(own, results, int(i)))
            for i in rows
            if own.ids[i] in pictures
        ]

    return Extremes(shown(hardest), shown(easiest))


def _pictures(catalogue: str, own: Labelled, rows: NDArray[np.int64]) -> dict[str, bytes]:
    """Thumbnails of some galaxies by id; none where the catalogue doesn't tell where they were read."""
    places = dict.fromkeys(place for i in rows if (place := own.inputs[i]))
    cutouts: pa.Table = readable_cutouts(places, reader_of(catalogue))
    pictures = {}
    for cutout in cutouts.to_pylist():
        if (picture := thumbnail(cutout, _PICTURE_SIDE)) is not None:
            pictures[cutout["object_id"]] = picture
    return pictures


def _text(own: Labelled, results: Results, row: int) -> str:
    predicted, voted = _class(own.tree, own.predicted[row]), _class(own.tree, own.votes[row])
    return f"RMSE {results.galaxies[row]:.3f}. Predicted: {predicted}. Volunteers: {voted}."


def _class(tree: DecisionTree, answers: Sequence[float] | NDArray[np.float64]) -> str:
    steps = most_probable_path(tree, answers)
    named = morphology_class(tree, steps)
    if named is not None:
        return named.name.lower()
    return steps[-1].answer.text.lower() if steps else "nothing"
