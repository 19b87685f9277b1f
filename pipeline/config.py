"""Configuration: pydantic models filled from YAML and ``key=value`` texts, every mistake one clear line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError, redacted

PROJECT = Path(__file__).resolve().parent.parent
"""What the packages lie in: the checkout, a job's working directory, or a folder of installed packages."""

_INSTALLED = Path(__file__).resolve().parent / "configs"
CONFIGS = _INSTALLED if _INSTALLED.is_dir() else PROJECT / "configs"
"""The folder of the project's own trees, networks, recipes, surveys, jobs and weights.

An installed package has it inside; pyproject.toml says so.
"""

_SHIPPED_SUFFIXES = (".yaml", ".safetensors", ".ensemble.json")
_WORD = re.compile(r"\w+")


class StrictModel(BaseModel):
    """A frozen pydantic model in which an unknown key, or a number that is not finite, is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def shipped(kind: str | tuple[str, ...], name: str) -> str:
    """The file that a setting names: a path or URI as it is, or the short name of a file that comes along.

    Parameters
    ----------
    kind
        A folder below `CONFIGS`, or several, of which the first that has the file counts.
    name
        ``galaxy_zoo_2`` is ``trees/galaxy_zoo_2.yaml``, unless there is a file of just that name.

    Raises
    ------
    InputError
        If it's a word that is neither.
    """
    if not _WORD.fullmatch(name) or Path(name).is_file():
        return name
    kinds = (kind,) if isinstance(kind, str) else kind
    files: dict[str, Path] = {}
    for folder in kinds:
        for file in sorted((CONFIGS / folder).iterdir()):
            stem, dot, suffix = file.name.partition(".")
            if dot + suffix in _SHIPPED_SUFFIXES and _WORD.fullmatch(stem):
                files.setdefault(stem, file)
    if name not in files:
        raise InputError(
            f"there is no file {name}, and none of the {' and '.join(kinds)} that come along has this name; "
            f"expected a file's path, or one of {', '.join(files)}"
        )
    return str(files[name])


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises
    ------
    InputError
        If the file is absent, isn't YAML, or holds something else than a mapping.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; name an existing YAML file"
        ) from error
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, source: str) -> dict[str, Any]:
    """What a YAML file in UTF-8 holds: one mapping.

    Raises
    ------
    InputError
        If it isn't YAML, or holds something else than a mapping.
    """
    try:
        loaded = yaml.safe_load(content.decode())
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(f"{source} is nested too deeply; expected a mapping of keys to values") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{source} holds {type(loaded).__name__}; expected a mapping of keys to values")
    return loaded


_NULLS = ("", "null", "~")


def parse_overrides(overrides: Iterable[str], text_keys: Collection[str] = ()) -> dict[str, Any]:
    """Turn ``key=value`` texts into a nested mapping: ``a.b=1`` becomes ``{"a": {"b": 1}}``.

    Values are read as YAML, so that ``60``, ``true`` and ``null`` get their types; those of `text_keys` are
    taken as they are, so that a folder may be called ``2024``. Of two overrides of one key the later wins.

    Raises
    ------
    InputError
        If one has no ``=``, its value isn't YAML, or a key gets a plain value here and parts there.

    Examples
    --------
    >>> parse_overrides(["transforms=60", "criteria.minimum_radius=5"])
    {'transforms': 60, 'criteria': {'minimum_radius': 5}}
    """
    result: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise InputError(f"{override!r} is not of the form key=value, such as transforms=60")
        try:
            value = text if key in text_keys and text not in _NULLS else yaml.safe_load(text)
        except RecursionError as error:
            raise InputError(f"{key}: the value is nested too deeply; expected a plain one") from error
        except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-45 looks like a date
            raise InputError(f"{override!r}: the value is not readable as YAML; quote it") from error
        *parents, leaf = key.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(
                    f"{override!r}: {parent!r} was given a plain value before; it can't have parts too"
                )
        if isinstance(node.get(leaf), dict) and not isinstance(value, dict):
            raise InputError(
                f"{override!r}: {leaf!r} was given parts before; it can't have a plain value too"
            )
        node[leaf] = value
    return result


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _known_keys(model: type[BaseModel], parents: Iterable[str | int]) -> list[str]:
    """Keys that the model, or a model within it, takes below `parents`."""
    models = [model]
    for part in parents:
        fields = [m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields]
        models = [inner for field in fields for inner in _models_in(field.annotation)] if fields else models
    return [key for m in models for key in m.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def validate(model: type[Model], values: Mapping[str, Any], source: str) -> Model:
    """Fill `model` with `values`; the first mistake found becomes a one-line error.

    Raises
    ------
    InputError
        Naming the key, its value and what was expected; an unknown key gets the nearest known one. A value
        that holds a password is refused without being told.
    """
    _refuse_keys(values, source)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = error.errors()
        # A misspelt key is also a missing one: name the cause.
        first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            *parents, unknown = first["loc"]
            known = _known_keys(model, parents)
            close = difflib.get_close_matches(str(unknown), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise InputError(f"{source}: unknown key {key!r}; {hint}") from error
        if first["type"] == "missing":
            raise InputError(
                f"{source}: {key!r} is missing; give it as {key}=VALUE or in the config file"
            ) from error
        if not key:
            raise InputError(f"{source}: {first['msg'].removeprefix('Value error, ')}") from error
        raise InputError(
            f"{source}: {key}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from error


def _refuse_keys(value: Any, source: str, path: str = "") -> None:
    """Make sure that no URI holds a password: settings are shown, logged and saved."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_keys(inner, source, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_keys(inner, source, path)
    elif isinstance(value, str) and redacted(value) != value:
        raise InputError(
            f"{source}: {path}={redacted(value)!r} holds a name or a key before the @; leave it out, and "
            "give keys in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a profile"
        )


def load_config(
    model: type[Model],
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Fill `model` from its defaults, a YAML file, ``key=value`` overrides and arguments; the later wins.

    Parameters
    ----------
    path
        Of the YAML file; None for no file.
    overrides
        See `parse_overrides`.
    arguments
        Values by key that a caller sets itself.

    Raises
    ------
    InputError
        If the file or an override can't be read, a key is unknown or missing, or a value doesn't fit.
    """
    values = load_yaml(path) if path is not None else {}
    text_keys = {name for name, field in model.model_fields.items() if field.annotation in (str, str | None)}
    merged = _merge(_merge(values, parse_overrides(overrides, text_keys)), arguments or {})
    return validate(model, merged, str(path) if path is not None else "settings")


def dump_config(config: BaseModel) -> str:
    """The configuration as YAML, every value spelled out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
