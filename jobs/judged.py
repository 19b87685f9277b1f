"""The gallery of an evaluation: chooses its galaxies and has their cutouts read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from jobs.labelled import Labelled
from pipeline.report.document import Raw
from pipeline.report.judged import judged_gallery, spread_by_error


def gallery_of(labelled: Labelled, read: Callable[[Sequence[str]], pa.Table], most: int = 400) -> Raw:
    """Galaxies with their votes and answers, for the reader of the page to choose among.

    Where a cutout can't be read, or the catalogue doesn't tell from where, its galaxy has no picture.

    Parameters
    ----------
    read
        Reads the cutouts at some places, as the catalogue's column ``input`` names them.
    most
        Most galaxies shown.
    """
    shown = spread_by_error(labelled.predicted, labelled.votes, most)
    places = [place for row in shown if (place := labelled.inputs[row])]
    return judged_gallery(
        labelled.tree, labelled.ids, labelled.predicted, labelled.votes, shown, read(places)
    )
