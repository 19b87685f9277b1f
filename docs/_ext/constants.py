"""``.. constants:: pipeline.tree``: what of a room's public names is neither class nor function."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

from docutils import nodes
from rebuilding import note_files
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective


def modules_of(room: ModuleType) -> list[str]:
    """A room's own module and those within it."""
    return [room.__name__, *(part.name for part in pkgutil.walk_packages(room.__path__, f"{room.__name__}."))]


class Constants(SphinxDirective):
    """An entry for each, with the docstring that stands below it where it is defined."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        room = importlib.import_module(self.arguments[0])
        note_files(self, room)
        texts = {
            name: lines
            for module in modules_of(room)
            for (scope, name), lines in ModuleAnalyzer.for_module(module).find_attr_docs().items()
            if scope == ""
        }
        entries: list[str] = []
        for name in room.__all__:
            value = getattr(room, name)
            if name in texts and not inspect.isclass(value) and not inspect.isroutine(value):
                entries += [f".. py:data:: {name}", f"   :module: {room.__name__}"]
                entries += [f"   :value: {value}"] if isinstance(value, int | float) else []
                entries += ["", *(f"   {line}" for line in texts[name])]
        return self.parse_text_to_nodes("\n".join(entries))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("constants", Constants)
    return {"parallel_read_safe": True}
