"""The arguments and options that many verbs share, and how they become the settings of a verb."""

from __future__ import annotations

from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from pipeline.config import dump_config, load_config, shipped

Catalogue = Annotated[str, typer.Argument(metavar="CATALOGUE", help="The folder `catalogue` of an output.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value]…", help="Settings, such as output=out/x.")
]
ConfigFile = Annotated[str | None, typer.Option("--config", metavar="FILE", help="YAML file of settings.")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Print all settings and stop.")]

Config = TypeVar("Config", bound=BaseModel)


def configure(
    model: type[Config],
    file: str | None,
    overrides: list[str] | None,
    print_config: bool = False,
    **arguments: str,
) -> Config:
    """The settings of a verb, from its file, its ``key=value`` overrides and its own arguments.

    Parameters
    ----------
    file
        Path of a YAML file, or the short name of one that comes along; None for no file.
    print_config
        Print the settings and end the verb there.
    arguments
        Settings that are arguments or options of the verb; they win over the others.

    Raises
    ------
    InputError
        See `pipeline.config.load_config`.
    """
    config = load_config(model, file and shipped("jobs", file), overrides or (), arguments)
    if print_config:
        typer.echo(dump_config(config), nl=False)
        raise typer.Exit
    return config
