"""``{settings} module.Model``: the keys of a pydantic model with type, limits, default and meaning."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import annotated_types as constraint
from docutils import nodes
from docutils.parsers.rst import directives
from numpydoc.docscrape import NumpyDocString
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rebuilding import note_files
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
PLAIN_TYPES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
BOUNDS = {
    constraint.Gt: ("more than", "gt"),
    constraint.Ge: ("at least", "ge"),
    constraint.Lt: ("less than", "lt"),
    constraint.Le: ("at most", "le"),
}

log = logging.getLogger(__name__)


def model_of(path: str) -> type[BaseModel]:
    """The model that a dotted path names."""
    module, _, name = path.rpartition(".")
    model: type[BaseModel] = getattr(importlib.import_module(module), name)
    return model


def owners(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and those that it comes from."""
    return [base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What each field means: from the docstrings of the class and of those it comes from, or of the field."""
    texts: dict[str, str] = {}
    for owner in reversed(owners(model)):
        analyzer = ModuleAnalyzer.for_module(owner.__module__)
        for (scope, name), lines in analyzer.find_attr_docs().items():
            if scope == owner.__qualname__:
                texts[name] = paragraph(lines)
        for names, _, lines in NumpyDocString(inspect.cleandoc(owner.__doc__ or ""))["Attributes"]:
            texts |= {name.strip(): paragraph(lines) for name in names.split(",")}
    described = {name: field.description for name, field in model.model_fields.items() if field.description}
    return texts | described


def paragraph(lines: list[str]) -> str:
    """Lines of a docstring as one of Markdown, which has single backticks where the former has two."""
    return " ".join(" ".join(lines).split()).replace("``", "`")


def summary(model: type[BaseModel]) -> str:
    """The first paragraph of a class's docstring."""
    return paragraph(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].splitlines())


def type_words(annotation: Any) -> str:
    """A type as people would say it; None, for what is left out, is not said."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN_TYPES:
        return PLAIN_TYPES[annotation]
    if models_in(annotation) and origin not in (tuple, list, dict):
        return "keys of its own, below"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_words(part) for part in inner if part is not type(None)))
    if origin is dict:
        return f"mapping of names to {type_words(inner[1])}"
    if origin is tuple and Ellipsis not in inner:
        return f"list of {len(inner)}: {', '.join(dict.fromkeys(type_words(part) for part in inner))}"
    if origin in (tuple, list):
        return f"list: {type_words(inner[0])}"
    return type_words(inner[0]) if inner else f"`{getattr(annotation, '__name__', annotation)}`"


def bounds(field: FieldInfo) -> str:
    """Between which values a field's must lie."""
    return " and ".join(
        f"{words} {getattr(bound, name):,g}"
        for bound in field.metadata
        for kind, (words, name) in BOUNDS.items()
        if isinstance(bound, kind)
    )


def default(field: FieldInfo) -> str:
    """A field's default, as one would write it in YAML."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return "optional"
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return f"default `{kind}`" if kind else "optional"
    return f"default `{plain(value)}`"


def plain(value: object) -> str:
    """A value in YAML's words; a path in the project as seen from its root."""
    if isinstance(value, tuple):
        return f"[{', '.join(plain(part) for part in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(f"{ROOT}/", "")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models within an annotation."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def entries(
    model: type[BaseModel], scope: str, prefix: str = "", without: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Lines of Markdown that define each key of a model, and of those within it."""
    texts = meanings(model)
    for name, field in model.model_fields.items():
        if name in without:
            continue
        key, text = f"{prefix}{name}", texts.get(name)
        inner = models_in(field.annotation)
        if text is None and not inner and name != "kind":
            log.warning("%s.%s has no meaning in a docstring", model.__name__, name)
        facts = [words for words in (type_words(field.annotation), bounds(field), default(field)) if words]
        yield f"[`{key}`]{{#{scope}-{key.replace('.', '-')}}} [{'; '.join(facts)}]{{.facts}}"
        yield f": {text or ' '.join(summary(part) for part in inner) or 'Chooses this form.'}"
        yield ""
    for name, field in model.model_fields.items():
        for part in models_in(field.annotation) if name not in without else ():
            kind = part.model_fields.get("kind")
            form = f" of kind `{kind.default}`" if kind else ""
            yield f"\n**`{prefix}{name}`{form}.** {summary(part)}\n"
            yield from entries(part, f"{scope}-{kind.default}" if kind else scope, f"{prefix}{name}.")


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
        note_files(self, *owners(model))
        scope = self.options.get("scope", model.__name__.lower())
        return self.parse_text_to_nodes("\n".join(entries(model, scope)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
