"""What all pages are made with: templates, styles and scripts that stand in the page itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report import wording

FILES = Path(__file__).parent / "page"


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
    made.globals.update(plural=wording.count)
    return made


def joined(*names: str) -> str:
    """Some files of the page, one after the other."""
    return "\n".join((FILES / name).read_text(encoding="utf-8") for name in names)


def in_scope(script: str) -> str:
    """A script in strict mode and a scope of its own."""
    return f'"use strict";\n(() => {{\n{script}\n}})();\n'


def script_hash(script: str) -> str:
    """What a content security policy knows a script by: its SHA-256, in base 64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
