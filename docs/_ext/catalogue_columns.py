"""``{catalogue-columns}`` and others: what tables hold, as their schemas describe them."""

from __future__ import annotations

import pyarrow as pa
from docutils import nodes
from rebuilding import note_files
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipeline.catalogue.embedding import EMBEDDING
from pipeline.catalogue.schema import (
    CLASS,
    CLASS_CONFIDENCE,
    REJECTION_FIELDS,
    catalogue_schema,
    uncertainty_columns,
)
from pipeline.protocol.records import quarantine
from pipeline.tree import load_tree


def table(fields: list[pa.Field], asked: str = "") -> list[str]:
    """Rows of a table in Markdown; the heading says what was `asked`, and the rows need not."""
    rows = ["| column | type | meaning |", "|---|---|---|"]
    for field in fields:
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit = f" ({about['unit']})" if "unit" in about else ""
        meaning = about["description"].replace(f" to {asked!r}", "")
        rows.append(f"| `{field.name}` | {field.type} | {meaning}{unit} |")
    return [*rows, ""]


class CatalogueColumns(SphinxDirective):
    """Columns of a catalogue of Galaxy Zoo 2's tree: the galaxy, its answers by question, its origin."""

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        note_files(self, catalogue_schema)
        tree = load_tree()
        left = {field.name: field for field in catalogue_schema(tree)}
        questions = []
        for question in tree.questions:
            keys = [*(answer.key for answer in question.answers), "answer", "agreement"]
            columns = table([left.pop(f"{question.key}_{key}") for key in keys], question.text)
            questions += [f"### {question.text}\n", *columns]
        galaxy = table([left.pop(name) for name in ("object_id", "ra", "dec")])
        named = table([left.pop(name) for name in (CLASS, CLASS_CONFIDENCE)])
        provenance = table(list(left.values()))
        lines = [
            "## The galaxy\n",
            *galaxy,
            "## Its class\n",
            *named,
            "## Its answers\n",
            *questions,
            "## Where a row comes from\n",
        ]
        return self.parse_text_to_nodes("\n".join([*lines, *provenance]), allow_section_headings=True)


class UncertaintyColumns(SphinxDirective):
    """Columns that a catalogue has if it is to say how sure its answers are."""

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        note_files(self, catalogue_schema)
        tree = load_tree()
        schema = catalogue_schema(tree, uncertainty=True)
        return self.parse_text_to_nodes(
            "\n".join(table([schema.field(n) for n in uncertainty_columns(tree)]))
        )


class EmbeddingColumns(SphinxDirective):
    """The column that a catalogue has if it is to say what the network sees."""

    def run(self) -> list[nodes.Node]:
        """Write and parse it."""
        note_files(self, catalogue_schema)
        schema = catalogue_schema(load_tree(), embedding=True)
        return self.parse_text_to_nodes("\n".join(table([schema.field(EMBEDDING)])))


class RejectionColumns(SphinxDirective):
    """Columns that a catalogue has if it is to say whether pictures have galaxies."""

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        note_files(self, catalogue_schema)
        return self.parse_text_to_nodes("\n".join(table(REJECTION_FIELDS)))


class QuarantineColumns(SphinxDirective):
    """Columns of a quarantine, and the reasons that there are."""

    def run(self) -> list[nodes.Node]:
        """Write and parse them."""
        note_files(self, quarantine)
        reasons = ", ".join(f"`{reason}`" for reason in sorted(quarantine.QUARANTINE_REASONS))
        return self.parse_text_to_nodes(
            "\n".join([*table(list(quarantine.QUARANTINE_SCHEMA)), f"The reasons: {reasons}."])
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("catalogue-columns", CatalogueColumns)
    app.add_directive("uncertainty-columns", UncertaintyColumns)
    app.add_directive("embedding-columns", EmbeddingColumns)
    app.add_directive("rejection-columns", RejectionColumns)
    app.add_directive("quarantine-columns", QuarantineColumns)
    return {"parallel_read_safe": True}
