"""The page itself: what each section says, put into the template."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from markupsafe import Markup

from pipeline.evaluation.distributions import CatalogueCounts
from pipeline.report import wording
from pipeline.report.classes import ClassView, class_views
from pipeline.report.facts import RunFacts
from pipeline.report.galaxies import Galaxy, page_data, read_galaxies, ring_radius
from pipeline.report.templates import joined, render_page
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
    usual_frames: tuple[float, float] | None = None,
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
    usual_frames
        Frame ratios between which nearly all training pictures are, where they are known.

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
    survey = tree.name.replace("_", " ").title()
    return render_page(
        "run.html.j2",
        styles=[joined(*STYLES)],
        scripts=[joined(*SCRIPTS)],
        helpers={},
        title=facts.title,
        kicker=f"{survey} morphology",
        figures=_figures(catalogue, facts),
        tree=tree,
        survey=survey,
        facts=facts,
        started=facts.started_at(),
        total=catalogue.rows,
        common=max(classes, key=lambda c: c.count) if catalogue.rows else None,
        judged=False,
        **_gallery(tree, classes, galaxies, usual_frames),
        **_field(field, galaxies),
        **_distributions(tree, catalogue),
    )


def _figures(catalogue: CatalogueCounts, facts: RunFacts) -> list[tuple[str, str]]:
    """The few figures that are seen first, each with what it is of."""
    median = catalogue.confidence.median
    unfamiliar = [] if catalogue.unfamiliar is None else [catalogue.unfamiliar / max(catalogue.rows, 1)]
    return [
        (f"{catalogue.rows:,}", "in the catalogue"),
        (f"{facts.counts.quarantined:,}", "quarantined"),
        ("–" if median is None else wording.percent(median), "median confidence in the class"),
        *((wording.percent(share), "unlike the training pictures") for share in unfamiliar),
        (wording.rate(facts.rate()), "throughput of galaxies, start to end"),
        (wording.duration(facts.seconds), f"run of {wording.moment(facts.started_at())}"),
    ]


def _gallery(
    tree: DecisionTree,
    classes: list[ClassView],
    galaxies: list[Galaxy],
    usual_frames: tuple[float, float] | None,
) -> dict[str, Any]:
    return {
        "galaxies": galaxies,
        "classes": classes,
        "present": [c for c in classes if c.count or c.shown],
        "data": Markup(page_data(tree, classes, galaxies, usual_frames)),  # noqa: S704
    }


def _field(picture: bytes | None, galaxies: list[Galaxy]) -> dict[str, Any]:
    ringed = (galaxy for galaxy in galaxies if galaxy.on_field)
    return {
        "field": None if picture is None else field_image(picture),
        # Small rings come last and so lie on top, where a pointer can reach them.
        "rings": sorted(ringed, key=lambda galaxy: -(galaxy.radius or 0.0)),
        "ring_radius": ring_radius,
    }


def _distributions(tree: DecisionTree, catalogue: CatalogueCounts) -> dict[str, Any]:
    return {
        "means": catalogue.means,
        "histograms": [
            (f"Agreement on “{tree.questions[0].text}”", catalogue.agreement, "agreement"),
            ("Confidence in the class", catalogue.confidence, "confidence"),
        ],
    }
