"""The page itself: what each section says, put into the template."""

from __future__ import annotations

import pyarrow as pa
from markupsafe import Markup

from pipeline.evaluation.distributions import CatalogueCounts
from pipeline.report.classes import class_views
from pipeline.report.facts import RunFacts
from pipeline.report.galaxies import page_data, read_galaxies, ring_radius
from pipeline.report.templates import environment, in_scope, joined, script_hash
from pipeline.report.thumbnails import field_image
from pipeline.tree import DecisionTree

STYLES = ("base.css", "parts.css", "card.css")
SCRIPTS = ("basics.js", "theme.js", "galaxies.js", "tiles.js", "filter.js", "card.js", "field.js", "ready.js")


def render_report(
    tree: DecisionTree,
    catalogue: CatalogueCounts,
    shown: pa.Table,
    cutouts: pa.Table,
    facts: RunFacts,
    field: bytes | None,
) -> str:
    """Write the report of a run as one HTML page that needs no other file and no network.

    Parameters
    ----------
    tree
        The catalogue's decision tree.
    catalogue, shown
        What `read_catalogue` counted over all rows, and the rows that get a picture and a card.
    cutouts
        Columns of `pipeline.cutouts.table.CUTOUT_SCHEMA`, for the shown galaxies at least.
    facts
        What the run tells about itself.
    field
        JPEG or PNG of the whole field that the cutouts' ``x, y`` refer to; None if there is none.

    Returns
    -------
    str
        The HTML text, to be written as UTF-8.

    Raises
    ------
    InputError
        If a table lacks a column, the run's start isn't a date or the field can't be decoded.
    """
    galaxies = read_galaxies(tree, shown, cutouts)
    classes = class_views(tree, catalogue.classes, [galaxy.morphology for galaxy in galaxies])
    script = in_scope(joined(*SCRIPTS))
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            tree=tree,
            survey=tree.name.replace("_", " ").title(),
            facts=facts,
            started=facts.started_at(),
            total=catalogue.rows,
            galaxies=galaxies,
            classes=classes,
            present=[c for c in classes if c.count or c.shown],
            common=max(classes, key=lambda c: c.count) if catalogue.rows else None,
            field=None if field is None else field_image(field),
            # Small rings come last and so lie on top, where a pointer can reach them.
            rings=sorted((g for g in galaxies if g.on_field), key=lambda g: -(g.radius or 0.0)),
            means=catalogue.means,
            histograms=[
                (f"Agreement on “{tree.questions[0].text}”", catalogue.agreement, "agreement"),
                ("Confidence in the class", catalogue.confidence, "confidence"),
            ],
            ring_radius=ring_radius,
            judged=False,
            style=Markup(joined(*STYLES)),  # noqa: S704
            script=Markup(script),  # noqa: S704
            script_hash=script_hash(script),
            data=Markup(page_data(tree, classes, galaxies)),  # noqa: S704
        )
    )
