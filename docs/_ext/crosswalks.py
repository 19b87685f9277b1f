"""``{crosswalk}``: which answers of another survey's tree stand for which of ours, from its file."""

from __future__ import annotations

from docutils import nodes
from rebuilding import note_files
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipeline.config import CONFIGS
from pipeline.tree import load_crosswalk, load_tree
from pipeline.tree.crosswalk import Crosswalk


def table(walk: Crosswalk) -> list[str]:
    """A row an answer; then what is to be known of a question, and those that have no match."""
    rows = [f"| {walk.title} | here |", "|---|---|"]
    for question in walk.questions:
        for match in question.answers:
            theirs, ours = " + ".join(match.theirs), " + ".join(match.ours)
            rows.append(f"| `{question.theirs}` {theirs} | `{question.ours}` {ours} |")
    notes = [f"- `{question.theirs}`: {question.note}" for question in walk.questions if question.note]
    for question in walk.without_match:
        where = f"`{question.theirs}` (theirs)" if question.theirs else f"`{question.ours}` (ours)"
        notes.append(f"- {where} has no match: {question.note}")
    return [*rows, "", *notes, ""]


class CrosswalkTable(SphinxDirective):
    """The table of the crosswalk that the argument names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write and parse it."""
        note_files(self, load_crosswalk)
        path = CONFIGS / "crosswalks" / f"{self.arguments[0]}.yaml"
        self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(table(load_crosswalk(path, load_tree()))))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("crosswalk", CrosswalkTable)
    return {"parallel_read_safe": True}
