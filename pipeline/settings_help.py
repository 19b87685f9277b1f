"""What each setting of a pydantic model is, in words: its type, limits, default and meaning.

Meanings stand where a programmer looks for them, in docstrings: of the class, under ``Attributes``, or of the
field itself, below it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types as constraint
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_ROOT = Path(__file__).resolve().parent.parent
_PLAIN_TYPES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
_BOUNDS = {
    constraint.Gt: ("more than", "gt"),
    constraint.Ge: ("at least", "ge"),
    constraint.Lt: ("less than", "lt"),
    constraint.Le: ("at most", "le"),
}
_ATTRIBUTES = re.compile(r"^Attributes\n-+\n((?:.*\n)*?)(?=.+\n-+\n|\Z)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^(\w[\w, ]*)(?: : .*)?\n((?:[ \t]+\S.*\n?|\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """A key that a model takes.

    Attributes
    ----------
    name
        The key.
    kind, limits
        Its type, and between which values it must lie, in words.
    default
        As one would write it in YAML; None where there is none.
    required
        Whether it must be given.
    meaning
        Of its docstring, as Markdown; empty where it has none.
    parts
        The models whose keys it holds in its turn.
    """

    name: str
    kind: str
    limits: str
    default: str | None
    required: bool
    meaning: str
    parts: tuple[type[BaseModel], ...]


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """The keys of a model, in its order."""
    texts = _meanings(model)
    for name, field in model.model_fields.items():
        yield Setting(
            name,
            _type_words(field.annotation),
            _limits(field),
            _default(field),
            field.is_required(),
            texts.get(name, ""),
            tuple(_models_in(field.annotation)),
        )


def owners(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and those that it comes from."""
    return [base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]


def summary(model: type[BaseModel]) -> str:
    """The first paragraph of a model's docstring."""
    return _paragraph(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0])


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for owner in reversed(owners(model)):
        texts |= _below_fields(owner)
        section = _ATTRIBUTES.search(inspect.cleandoc(owner.__doc__ or "") + "\n")
        for names, text in _ATTRIBUTE.findall(section[1] if section else ""):
            texts |= {name.strip(): _paragraph(text) for name in names.split(",")}
    described = {name: field.description for name, field in model.model_fields.items() if field.description}
    return texts | described


def _below_fields(model: type[BaseModel]) -> dict[str, str]:
    """Docstrings that stand below fields."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: _paragraph(text.value.value)
        for field, text in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _paragraph(text: str) -> str:
    """Lines of a docstring as one of Markdown, which has single backticks where the former has two."""
    return " ".join(text.split()).replace("``", "`")


def _type_words(annotation: Any) -> str:
    """A type as people would say it; None, for what is left out, is not said."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN_TYPES:
        return _PLAIN_TYPES[annotation]
    if _models_in(annotation) and origin not in (tuple, list, dict):
        return "keys of its own, below"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_words(part) for part in inner if part is not type(None)))
    if origin is dict:
        return f"mapping of names to {_type_words(inner[1])}"
    if origin is tuple and Ellipsis not in inner:
        return f"list of {len(inner)}: {', '.join(dict.fromkeys(_type_words(part) for part in inner))}"
    if origin in (tuple, list):
        return f"list: {_type_words(inner[0])}"
    return _type_words(inner[0]) if inner else f"`{getattr(annotation, '__name__', annotation)}`"


def _limits(field: FieldInfo) -> str:
    return " and ".join(
        f"{words} {getattr(bound, name):,g}"
        for bound in field.metadata
        for kind, (words, name) in _BOUNDS.items()
        if isinstance(bound, kind)
    )


def _default(field: FieldInfo) -> str | None:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return None
    if isinstance(value, BaseModel):
        return getattr(value, "kind", None)
    return _plain(value)


def _plain(value: object) -> str:
    """A value in YAML's words; a path in the project as seen from its root."""
    if isinstance(value, tuple):
        return f"[{', '.join(_plain(part) for part in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(f"{_ROOT}/", "")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
