"""What verbs of the command line take: ``key=value`` words and a file, and how they become settings."""

from __future__ import annotations

from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from pipeline.config import dump_config, load_config, shipped

Catalogue = Annotated[str, typer.Argument(metavar="CATALOGUE", help="The folder `catalogue` of an output.")]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value]…", help="Settings, such as output=out/x.")
]
ConfigFile = Annotated[str | None, typer.Option("--config", metavar="FILE", help="YAML file of settings.")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Print all settings and stop.")]

Config = TypeVar("Config", bound=BaseModel)


def configure(
    model: type[Config], file: str | None, words: list[str] | None, print_config: bool = False, **given: str
) -> Config:
    """The settings of a verb; where they are only to be printed, the verb ends there.

    Raises
    ------
    InputError
        See `pipeline.config.load_config`.
    """
    config = load_config(model, file and shipped("jobs", file), words or (), given)
    if print_config:
        typer.echo(dump_config(config), nl=False)
        raise typer.Exit
    return config
