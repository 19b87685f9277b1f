"""Pages that are made from code are made anew when it changes, or what makes them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from sphinx.util.docutils import SphinxDirective


def note_files(directive: SphinxDirective, *things: Any) -> None:
    """Note that a page depends on the files of modules, classes or functions, and on these extensions."""
    for thing in things:
        directive.env.note_dependency(inspect.getfile(thing))
    for extension in Path(__file__).parent.glob("*.py"):
        directive.env.note_dependency(str(extension))
