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
    """A row an answer, and a row a question that has no match."""
    rows = [f"| {walk.title} | here | |", "|---|---|---|"]
    for question in walk.questions:
        for number, match in enumerate(question.answers):
            theirs = " + ".join(f"`{question.theirs}_{key}`" for key in match.theirs)
            ours = " + ".join(f"`{question.ours}_{key}`" for key in match.ours)
            rows.append(f"| {theirs} | {ours} | {question.note if number == 0 else ''} |")
    for question in walk.without_match:
        theirs, ours = (f"`{key}`" if key else "–" for key in (question.theirs, question.ours))
        rows.append(f"| {theirs} | {ours} | {question.note} |")
    return [*rows, ""]


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
