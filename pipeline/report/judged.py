"""A gallery of galaxies with the volunteers' votes beside the network's answers, to filter, sort and open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.catalogue.classes import read_classes
from pipeline.catalogue.rows import Uncertainty
from pipeline.catalogue.schema import uncertainty_columns
from pipeline.evaluation.labelled import Labelled
from pipeline.evaluation.metrics import galaxy_rmse
from pipeline.report.classes import class_views
from pipeline.report.document import Raw
from pipeline.report.galaxies import page_data, read_galaxies
from pipeline.report.templates import environment, joined
from pipeline.tree import DecisionTree, agreement

_STYLES = ("parts.css", "card.css")
_SCRIPTS = ("basics.js", "galaxies.js", "tiles.js", "filter.js", "card.js")


def spread_by_error(
    predicted: NDArray[np.float64], votes: NDArray[np.float64], limit: int = 400
) -> NDArray[np.int64]:
    """Which galaxies to show when not all can be: every so many in the order of their RMSE.

    Parameters
    ----------
    predicted, votes
        Shape (n, answers); NaN where a vote is missing.

    Returns
    -------
    ndarray, shape (at most `limit`,), int64
        Rows, in order; the easiest and the hardest galaxy are among them. Galaxies without a vote are not.
    """
    errors = galaxy_rmse(predicted, votes)
    order = np.argsort(errors, kind="stable")[: np.isfinite(errors).sum()]
    places = np.linspace(0, max(len(order) - 1, 0), min(limit, len(order))).round().astype(np.int64)
    return np.sort(order[places])


def judged_gallery(
    tree: DecisionTree,
    ids: Sequence[str],
    predicted: NDArray[np.float64],
    votes: NDArray[np.float64],
    shown: NDArray[np.int64],
    cutouts: pa.Table,
    uncertainty: Uncertainty | None = None,
) -> Raw:
    """The gallery, as a part of a document; a document holds at most one.

    Parameters
    ----------
    ids, predicted, votes
        All galaxies that were evaluated: n names, and cumulative fractions, shape (n, answers), in the tree's
        order; NaN where a vote is missing.
    shown
        Rows of those that get a picture and a card; see `spread_by_error`.
    cutouts
        Columns of `pipeline.cutouts.table.CUTOUT_SCHEMA`, for the shown galaxies at least.
    uncertainty
        How sure the answers of all galaxies are, where that is known.

    Raises
    ------
    InputError
        If the cutouts lack a column.
    """
    rows = _rows(tree, [ids[i] for i in shown], predicted[shown])
    if uncertainty is not None:
        for name, column in zip(uncertainty_columns(tree), uncertainty[shown].columns(), strict=True):
            rows = rows.append_column(name, pa.array(column))
    galaxies = read_galaxies(tree, rows, cutouts, votes[shown])
    counts = np.bincount(
        read_classes(tree, _rows(tree, ids, predicted)).classes, minlength=len(tree.classes) + 1
    )
    classes = class_views(tree, counts.tolist(), [galaxy.morphology for galaxy in galaxies])
    html = (
        environment()
        .get_template("judged.html.j2")
        .render(
            tree=tree,
            galaxies=galaxies,
            classes=classes,
            present=[c for c in classes if c.shown],
            judged=True,
            total=len(ids),
            data=Markup(page_data(tree, classes, galaxies)),  # noqa: S704
        )
    )
    return Raw(html, joined(*_STYLES), joined(*_SCRIPTS))


def _rows(tree: DecisionTree, ids: Sequence[str], p: NDArray[np.float64]) -> pa.Table:
    """Answers as rows of a catalogue, as far as a gallery reads them."""
    nothing = pa.nulls(len(ids), pa.float64())
    columns = {"object_id": pa.array(ids, pa.string()), "ra": nothing, "dec": nothing}
    columns |= {name: pa.array(p[:, j]) for j, name in enumerate(tree.columns)}
    for question in tree.questions:
        columns[f"{question.key}_agreement"] = pa.array(agreement(p[:, tree.slices[question.key]]))
    return pa.table(columns)


def gallery_of(labelled: Labelled, read: Callable[[Sequence[str]], pa.Table], limit: int = 400) -> Raw:
    """Galaxies with their votes and answers, for the reader of the page to choose among.

    Where a cutout can't be read, or the catalogue doesn't tell from where, its galaxy has no picture.

    Parameters
    ----------
    read
        Reads the cutouts at some places, as the catalogue's column ``input`` names them.
    limit
        Most galaxies shown.
    """
    shown = spread_by_error(labelled.predicted, labelled.votes, limit)
    places = [place for row in shown if (place := labelled.inputs[row])]
    return judged_gallery(
        labelled.tree,
        labelled.ids,
        labelled.predicted,
        labelled.votes,
        shown,
        read(places),
        labelled.uncertainty,
    )
