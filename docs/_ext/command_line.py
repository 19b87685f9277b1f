"""``{verb} classify``: a verb of the command line as `jobs.cli` declares it, with its settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import typer
from docutils import nodes
from docutils.parsers.rst import directives
from rebuilding import note_files
from settings import entries, shared_fields
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from jobs import cli
from jobs.verb import Verb as CommandLineVerb
from pipeline.settings_help import owners, settings_of

OVERRIDES = "overrides"
"""The parameter of a verb that takes its ``key=value`` settings."""


def commands(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Every verb, by its full name, such as ``ingest images``."""
    group = group or typer.main.get_command(cli.app)
    verbs = {}
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        verbs |= commands(command, f"{full} ") if hasattr(command, "commands") else {full: command}
    return verbs


def text_of(help_text: str) -> str:
    """A verb's help as Markdown; a line that is but an example becomes a block."""
    parts = [" ".join(part.split()) for part in inspect.cleandoc(help_text).split("\n\n")]
    return "\n\n".join(
        f"```text\n{part.strip('`')}\n```"
        if part.startswith("`tuningfork") and part.count("`") == 2
        else part
        for part in parts
    )


def parameters(command: Any) -> Iterator[str]:
    """Definitions of a verb's arguments and options; ``key=value`` settings have entries of their own."""
    for parameter in command.params:
        if parameter.name == OVERRIDES:
            continue
        is_option = parameter.param_type_name == "option"
        flags = ", ".join([*parameter.opts, *parameter.secondary_opts]) if is_option else parameter.metavar
        value = f" {parameter.metavar}" if is_option and parameter.metavar else ""
        facts = "required" if parameter.required else f"default `{parameter.default}`"
        silent = not parameter.required and parameter.default in (None, False)
        yield f"`{flags}{value}`" + ("" if silent else f" [{facts}]{{.facts}}")
        yield f": {parameter.help}\n"


class Verb(SphinxDirective):
    """What a section about a verb says, with its settings; with ``:like:`` only those that another hasn't."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"like": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Write and parse it."""
        name = self.arguments[0]
        note_files(self, cli)
        command = commands()[name]
        lines = [text_of(command.help or ""), ""]
        if defined := list(parameters(command)):
            lines += ["```{rubric} Arguments and options\n```\n", *defined]
        lines += self._settings(name, command)
        return self.parse_text_to_nodes("\n".join(lines))

    def _settings(self, name: str, command: Any) -> list[str]:
        model = command.model() if isinstance(command, CommandLineVerb) else None
        if model is None:
            return []
        note_files(self, *owners(model), settings_of)
        lines, without = ["```{rubric} Settings\n```\n"], frozenset(command.arguments)
        if "like" in self.options:
            other = self.options["like"]
            without |= shared_fields(model, commands()[other].model())
            links = ", ".join(f"[`{key}`](#{other}-{key})" for key in model.model_fields if key in without)
            lines += [f"As of [{other}](#{other}): {links}.\n"]
        return [*lines, *entries(model, name.replace(" ", "-"), without=without)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("verb", Verb)
    return {"parallel_read_safe": True}
