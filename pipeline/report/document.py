"""A report of figures, tables and pictures: one HTML page that stands alone, its parts as files beside it."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib.figure
from markupsafe import Markup

from pipeline import storage
from pipeline.report.palette import THEMED, plot_style
from pipeline.report.templates import joined, render_page

PAGE = "report.html"
_STYLES = ("base.css", "document.css")
_SCRIPTS = ("basics.js", "theme.js")
_PNG_DPI = 160
_SMALL = 1e-4
"""Numbers below are shown with an exponent."""
_PIXELS_PER_INCH = 118
"""Pixels an inch of a figure in the page, at most: a font size of 9 points is read like the page's text."""

WIDE_INCHES, NARROW_INCHES = 7.0, 3.3
"""Widths of a figure where there is room, and on a phone, which has a hundred pixels for each inch."""


@dataclass(frozen=True)
class Figure:
    """A plot, written as ``figures/<name>.svg`` and ``.png``; the page holds it as SVG.

    Make it within `pipeline.report.palette.plot_style`; then its text and lines follow the page's theme.

    Attributes
    ----------
    narrow
        The same for phones, `NARROW_INCHES` wide; without it, the plot is moved aside to be seen whole there.
    """

    name: str
    caption: str
    figure: matplotlib.figure.Figure
    narrow: matplotlib.figure.Figure | None = None

    @classmethod
    def of_both_widths(
        cls, name: str, caption: str, draw: Callable[[float], matplotlib.figure.Figure]
    ) -> Figure:
        """A plot that `draw` draws in a width in inches, for wide pages and for phones."""
        return cls(name, caption, draw(WIDE_INCHES), draw(NARROW_INCHES))


@dataclass(frozen=True)
class Table:
    """Rows of values, written as ``tables/<name>.csv`` and shown in the page.

    None is an empty field; floats are rounded in the page only. Of a table of more than `shown` rows the page
    holds the first ones; of 0 only the link to the file.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    shown: int = 200


@dataclass(frozen=True)
class Picture:
    """A galaxy's picture (JPEG, PNG or WebP; no larger than it is shown) and what is said of it."""

    object_id: str
    jpeg: bytes
    text: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side."""

    caption: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Raw:
    """Trusted HTML with its own style and script: the place for a part that reacts to its reader.

    It goes into the page unescaped, so whatever comes from a catalogue must be escaped before; data for the
    script belong into a ``<script type="application/json">`` of the HTML. The script runs in strict mode, in
    a scope of its own, once the page is there; its hash is in the page's content security policy, so handlers
    in attributes (``onclick=…``) don't run. Nothing may be loaded but ``data:`` images.
    """

    html: str
    style: str = ""
    script: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with its own heading; `text` is plain, a blank line parts its paragraphs."""

    title: str
    text: str
    parts: Sequence[Figure | Table | Gallery | Raw]


def write_document(
    folder: str,
    title: str,
    lead: str,
    sections: Sequence[Section],
    *,
    kicker: str = "Galaxy morphology",
    facts: Sequence[tuple[str, str]] = (),
    caveat: str = "",
) -> str:
    """Write a page with its figures and tables beside it; the page comes last.

    Parameters
    ----------
    folder
        Any fsspec URI; files of the same names in it are replaced.
    lead
        What the page tells, in a sentence or two.
    kicker
        The small line above the title.
    facts
        Figures to be seen first, each with what it is of: ``("0.0764", "RMSE")``.
    caveat
        What a reader must know to not be misled.

    Returns
    -------
    str
        URI of the page, ``<folder>/report.html``.

    Raises
    ------
    ValueError
        If two figures, or two tables, have the same name, or a name isn't a file's.
    StorageTrouble
        If the folder can't be written to.
    """
    parts = [part for section in sections for part in section.parts]
    _check_names([part.name for part in parts if isinstance(part, Figure)])
    _check_names([part.name for part in parts if isinstance(part, Table)])
    drawn: dict[str, str] = {}
    for part in parts:
        if isinstance(part, Figure):
            _lay_out(part.figure)
            svg = _saved(part.figure, part.name, "svg")
            storage.write_bytes(storage.join(folder, "figures", f"{part.name}.svg"), svg)
            png = _saved(part.figure, part.name, "png")
            storage.write_bytes(storage.join(folder, "figures", f"{part.name}.png"), png)
            drawn[part.name] = _inline(part.figure, svg, part.name, part.caption)
            if part.narrow is not None:
                name = f"{part.name}-narrow"
                drawn[name] = _inline(part.narrow, _saved(part.narrow, name, "svg"), name, part.caption)
        elif isinstance(part, Table):
            storage.write_bytes(storage.join(folder, "tables", f"{part.name}.csv"), _csv(part))
    page = _render(title, lead, sections, drawn, kicker, facts, caveat)
    storage.write_bytes(storage.join(folder, PAGE), page.encode())
    return storage.join(folder, PAGE)


def _render(
    title: str,
    lead: str,
    sections: Sequence[Section],
    drawn: dict[str, str],
    kicker: str,
    facts: Sequence[tuple[str, str]],
    caveat: str,
) -> str:
    raws = [part for section in sections for part in section.parts if isinstance(part, Raw)]
    return render_page(
        "document.html.j2",
        styles=[joined(*_STYLES), *(raw.style for raw in raws)],
        scripts=[joined(*_SCRIPTS), *(raw.script for raw in raws if raw.script), joined("ready.js")],
        helpers={
            "cell": cell,
            "picture": _picture_uri,
            "paragraphs": _paragraphs,
            "figure": lambda part: isinstance(part, Figure),
            "table": lambda part: isinstance(part, Table),
            "gallery": lambda part: isinstance(part, Gallery),
            "numeric": _is_number,
        },
        title=title,
        kicker=kicker,
        figures=facts,
        lead=lead,
        caveat=caveat,
        sections=[(slug(section.title), section) for section in sections],
        drawn={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704
        raw=lambda part: Markup(part.html),  # noqa: S704
    )


def _inline(figure: matplotlib.figure.Figure, svg: bytes, name: str, label: str) -> str:
    return inline_svg(svg.decode(), name, label, round(figure.get_size_inches()[0] * _PIXELS_PER_INCH))


def inline_svg(svg: str, name: str, label: str, width: int) -> str:
    """A figure's SVG for the middle of a page: its ids its own, its greys those of the page's theme."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    for color, variable in THEMED.items():
        body = body.replace(color, variable)
    start, end = body.index("<svg"), body.index(">") + 1
    box = re.findall(r'viewBox="([^"]+)"', body[start:end])[0]
    named = f'role="img" aria-label="{Markup.escape(label)}"'
    opened = f'<svg viewBox="{box}" style="max-width:{width}px" {named}>'
    return (opened + body[end:]).replace("xlink:href", "href")


def slug(title: str) -> str:
    """A title as an anchor: ``what-it-sees``."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def cell(value: object) -> str:
    """A table's value as the page shows it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        return f"{value:.4f}" if value == 0 or abs(value) >= _SMALL else f"{value:.1e}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool)) or value == "?"


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _picture_uri(data: bytes) -> str:
    kind = {b"\x89P": "png", b"RI": "webp"}.get(data[:2], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1 or not re.fullmatch(r"[\w-]+", name):
            raise ValueError(f"{name!r} can't name a part: it is taken, or holds more than letters, _ and -")


def _lay_out(figure: matplotlib.figure.Figure) -> None:
    """Have a figure's parts find their places, once for all forms: that takes longer than to draw them."""
    with plot_style():
        figure.draw_without_rendering()
    with matplotlib.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # to "none" would still have each form drawn twice


def _saved(figure: matplotlib.figure.Figure, name: str, form: str) -> bytes:
    buffer = io.BytesIO()
    # A fixed salt and no date: the same figure is the same file.
    with plot_style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format=form, dpi=_PNG_DPI, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return storage.guarded(value) if isinstance(value, str) else value
