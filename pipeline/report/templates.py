"""What all pages are made with: templates, styles and scripts that stand in the page itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.amounts import count
from pipeline.report import wording

FILES = Path(__file__).parent / "assets"


def environment() -> Environment:
    """The templates, with the wording of numbers as filters."""
    made = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=wording.percent, duration=wording.duration, rate=wording.rate, moment=wording.moment
    )
    made.globals.update(plural=count)
    return made


def render_page(
    template: str, styles: Sequence[str], scripts: Sequence[str], helpers: Mapping[str, Any], **content: Any
) -> str:
    """A page that needs no other file and no network, by a template that extends ``shell.html.j2``.

    Parameters
    ----------
    styles, scripts
        Their texts; each script gets a scope of its own, and the page allows no others.
    helpers
        Filters and tests of the template's own, by name.
    content
        What the template shows, ``title``, ``kicker`` and ``figures`` among it.
    """
    made = environment()
    made.filters.update(helpers, hash=script_hash)
    made.tests.update(helpers)
    return made.get_template(template).render(
        style=Markup("\n".join(filter(None, styles))),  # noqa: S704
        scripts=[Markup(in_scope(script)) for script in scripts],  # noqa: S704
        **content,
    )


def joined(*names: str) -> str:
    """The text of some files of the page, one after the other."""
    return "\n".join((FILES / name).read_text(encoding="utf-8") for name in names)


def in_scope(script: str) -> str:
    """A script in strict mode and a scope of its own."""
    return f'"use strict";\n(() => {{\n{script}\n}})();\n'


def script_hash(script: str) -> str:
    """What a content security policy knows a script by: its SHA-256, in base 64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
