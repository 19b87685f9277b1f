"""References to this project's names by where they are defined lead to where they are documented."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

OWN = "pipeline."


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Node | None:
    """`pipeline.tree.decision_tree.Answer` is `pipeline.tree.Answer`; a name without an entry is text."""
    if node.get("refdomain") != "py":
        return None
    room, _, name = node["reftarget"].removeprefix(OWN).partition(".")
    target = f"{OWN}{room}.{name.rpartition('.')[2]}"
    python = env.domains.python_domain
    if node["reftarget"].startswith(OWN) and target in python.objects:
        return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, text)
    return text


def shorten(*event: Any) -> tuple[str | None, str | None]:
    """The signature of a pydantic model, whose types would have their modules before them."""
    signature, returns = event[-2:]
    return re.sub(r"~[\w.]+\.", "", signature) if signature else signature, returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask here for what Sphinx knows no place of, and before a signature is shown."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}
