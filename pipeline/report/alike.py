"""Look-alikes as a page: examples and their neighbours as cards, to filter and sort, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from markupsafe import Markup

from pipeline.report.classes import class_views
from pipeline.report.document import Raw, Section, Table
from pipeline.report.galaxies import Alike, page_data, read_galaxies
from pipeline.report.templates import environment, joined
from pipeline.tree import DecisionTree

_STYLES = ("parts.css", "card.css")
_SCRIPTS = ("basics.js", "galaxies.js", "tiles.js", "filter.js", "card.js")


def alike_sections(
    tree: DecisionTree, shown: pa.Table, alike: Sequence[Alike], cutouts: pa.Table
) -> list[Section]:
    """Sections for `write_document`.

    Parameters
    ----------
    shown
        Rows of a catalogue: the examples, then their neighbours, the nearest first.
    alike
        Of each row, how it stands to the examples.
    cutouts
        Columns of `pipeline.cutouts.table.CUTOUT_SCHEMA`; a galaxy without one has no picture.

    Raises
    ------
    InputError
        If a column is missing.
    """
    galaxies = [
        replace(galaxy, alike=how)
        for galaxy, how in zip(read_galaxies(tree, shown, cutouts), alike, strict=True)
    ]
    morphologies = [galaxy.morphology for galaxy in galaxies]
    counts = [morphologies.count(number) for number in range(len(tree.classes) + 1)]
    classes = class_views(tree, counts, morphologies)
    html = (
        environment()
        .get_template("alike.html.j2")
        .render(
            tree=tree,
            galaxies=galaxies,
            classes=classes,
            present=[c for c in classes if c.shown],
            judged=False,
            alike=True,
            total=len(galaxies),
            data=Markup(page_data(tree, classes, galaxies)),  # noqa: S704
        )
    )
    rows = [
        [g.object_id, g.ra, g.dec, how.similarity, "; ".join(how.shared), ", ".join(how.tags)]
        for g, how in zip(galaxies, alike, strict=True)
        if how.similarity is not None
    ]
    table = Table(
        "neighbours",
        "The neighbours, the most alike first.",
        ["object_id", "RA", "Dec", "similarity", "shares with the examples", "tags"],
        rows,
    )
    shares = "Two galaxies share an answer where both have it more than usual: by a fifth of all volunteers."
    return [
        Section("Galaxies", "", [Raw(html, joined(*_STYLES), joined(*_SCRIPTS))]),
        Section("What they share", shares, [table]),
    ]
