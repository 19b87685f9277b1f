"""The page itself: what each section says, put into the template."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import wording
from pipeline.report.distributions import CatalogueCounts
from pipeline.report.facts import RunFacts
from pipeline.report.galaxies import page_data, read_galaxies, ring_radius
from pipeline.report.thumbnails import field_image
from pipeline.tree import DecisionTree

FILES = Path(__file__).parent / "page"
STYLES = ("base.css", "parts.css", "card.css")
SCRIPTS = ("theme.js", "filter.js", "card.js", "field.js")
NO_CLASS = "No class"
NO_CLASS_COLOR = "#ffffff"


@dataclass(frozen=True)
class ClassView:
    """A class as the page shows it, with its counts in the catalogue and among the shown galaxies."""

    index: int
    name: str
    code: str
    color: str
    ink: str
    count: int
    share: float
    shown: int


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
        Columns of `pipeline.survey.cutouts.CUTOUT_SCHEMA`, for the shown galaxies at least.
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
    classes = _class_views(tree, catalogue, [galaxy.morphology for galaxy in galaxies])
    script = "\n".join((FILES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    environment = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent, duration=wording.duration, rate=wording.rate, moment=wording.moment
    )
    environment.globals.update(plural=wording.count, ring_radius=ring_radius)
    return environment.get_template("page.html.j2").render(
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
        style=Markup("\n".join((FILES / name).read_text(encoding="utf-8") for name in STYLES)),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(page_data(tree, galaxies)),  # noqa: S704
    )


def _class_views(tree: DecisionTree, catalogue: CatalogueCounts, shown: list[int]) -> list[ClassView]:
    codes = wording.class_codes(tree.classes)
    named = [(c.name, code, c.color) for c, code in zip(tree.classes, codes, strict=True)]
    return [
        ClassView(
            index=i,
            name=name,
            code=code,
            color=color,
            ink=wording.ink_on(color),
            count=catalogue.classes[i],
            share=catalogue.classes[i] / max(catalogue.rows, 1),
            shown=shown.count(i),
        )
        for i, (name, code, color) in enumerate([*named, (NO_CLASS, "–", NO_CLASS_COLOR)])
    ]
