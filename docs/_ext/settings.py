"""``{settings} module.Model``: the keys of a pydantic model with type, limits, default and meaning."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from pydantic import BaseModel
from rebuilding import note_files
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from pipeline.settings_help import Setting, owners, settings_of, summary

log = logging.getLogger(__name__)


def model_of(path: str) -> type[BaseModel]:
    """The model that a dotted path names."""
    module, _, name = path.rpartition(".")
    model: type[BaseModel] = getattr(importlib.import_module(module), name)
    return model


def facts(setting: Setting) -> str:
    """Type, limits and default of a setting."""
    default = "optional" if setting.default is None else f"default `{setting.default}`"
    words = (setting.kind, setting.limits, "**required**" if setting.required else default)
    return "; ".join(word for word in words if word)


def entries(
    model: type[BaseModel], scope: str, prefix: str = "", without: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Lines of Markdown that define each key of a model, and of those within it."""
    settings = [setting for setting in settings_of(model) if setting.name not in without]
    for setting in settings:
        key = f"{prefix}{setting.name}"
        if not setting.meaning and not setting.parts and setting.name != "kind":
            log.warning("%s.%s has no meaning in a docstring", model.__name__, setting.name)
        yield f"[`{key}`]{{#{scope}-{key.replace('.', '-')}}} [{facts(setting)}]{{.facts}}"
        yield f": {setting.meaning or ' '.join(map(summary, setting.parts)) or 'Chooses this form.'}"
        yield ""
    for setting in settings:
        for part in setting.parts:
            kind = part.model_fields.get("kind")
            form = f" of kind `{kind.default}`" if kind else ""
            yield f"\n**`{prefix}{setting.name}`{form}.** {summary(part)}\n"
            yield from entries(part, f"{scope}-{kind.default}" if kind else scope, f"{prefix}{setting.name}.")


def shared_fields(model: type[BaseModel], other: type[BaseModel]) -> frozenset[str]:
    """Fields that two models have alike."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if name in other.model_fields and repr(other.model_fields[name]) == repr(field)
    )


class Settings(SphinxDirective):
    """The keys of the model that the argument names, as definitions."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"scope": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        model = model_of(self.arguments[0])
        note_files(self, *owners(model), settings_of)
        scope = self.options.get("scope", model.__name__.lower())
        return self.parse_text_to_nodes("\n".join(entries(model, scope)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
