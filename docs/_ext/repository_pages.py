"""Pages of the repository in the site: those beside ``docs`` too, and what links among them all.

A page that is but an ``{include}`` of a file outside ``docs`` stands for that file, and links to it lead
to the page. A link to any other file outside, which the site doesn't have, becomes text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
INCLUDE = re.compile(r"\A```\{include\} (\S+)\n```\s*\Z")
LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def included(page: Path) -> Path | None:
    """The file that a page stands for."""
    match = INCLUDE.match(page.read_text(encoding="utf-8"))
    return (page.parent / match[1]).resolve() if match else None


def stand_ins() -> dict[Path, Path]:
    """The page of each file outside ``docs`` that has one."""
    return {file: page for page in DOCS.rglob("*.md") if (file := included(page)) is not None}


def with_links_of_the_site(text: str, source: Path, page: Path) -> str:
    """The text of a file, its links as they are to be seen from a page."""
    pages = stand_ins()

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        aim = (source.parent / target).resolve()
        aim = pages.get(aim, aim)
        if aim.is_relative_to(DOCS):
            return f"[{label}]({os.path.relpath(aim, page.parent)}{anchor})"
        return label if "`" in label else f"{label} (`{aim.relative_to(ROOT)}`)"

    return LINK.sub(link, text)


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put in place of a page what it is to say."""
    page = Path(app.env.doc2path(docname)).resolve()
    source = included(page) or page
    app.env.note_dependency(source)
    content[0] = with_links_of_the_site(source.read_text(encoding="utf-8"), source, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Come in where Sphinx has read a page."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
