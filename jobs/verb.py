"""Verbs of the command line, whose ``--help`` tells their settings too."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from pipeline.settings_help import Setting, settings_of


class Verb(TyperCommand):
    """A verb; `takes` makes one with settings."""

    settings: str | None = None
    arguments: tuple[str, ...] = ()

    def model(self) -> type[BaseModel] | None:
        """The model of the verb's ``key=value`` settings; loaded only when asked for."""
        if self.settings is None:
            return None
        module, _, name = self.settings.rpartition(".")
        model: type[BaseModel] = getattr(importlib.import_module(module), name)
        return model

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print what the verb does, its arguments and options, and its settings."""
        super().format_help(ctx, formatter)
        model = self.model()
        if model is not None:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
            for key, setting in _flat(model):
                if key not in self.arguments:
                    table.add_row(Text(key, "bold cyan"), Text(_value(setting)), Text(_text(setting)))
            Console().print(Panel(table, title="Settings", title_align="left", border_style="dim"))


def takes(settings: str, *arguments: str) -> type[Verb]:
    """A verb with the settings of a model, named by its dotted path.

    Parameters
    ----------
    arguments
        Keys that are arguments or options of the verb, and not settings.
    """
    return type("SettledVerb", (Verb,), {"settings": settings, "arguments": arguments})


def _flat(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """The keys of a model and of those within it, as ``a.b``."""
    for setting in settings_of(model):
        key = f"{prefix}{setting.name}"
        yield key, setting
        for part in setting.parts:
            yield from _flat(part, f"{key}.")


def _value(setting: Setting) -> str:
    if setting.required:
        default = "required"
    else:
        default = "optional" if setting.default is None else f"default {setting.default}"
    return "; ".join(fact for fact in (setting.kind, setting.limits, default) if fact).replace("`", "")


def _text(setting: Setting) -> str:
    return setting.meaning.replace("`", "")
