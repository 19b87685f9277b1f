"""The site of the documentation: built without a warning, and with all that there is to look up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from jobs.cli import app
from pipeline import geometry
from pipeline.catalogue import catalogue_schema
from pipeline.tree import load_tree
from tests.support.command import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; `make docs` builds them so."""
    folder = tmp_path_factory.mktemp("site")
    strict = ("--quiet", "--fail-on-warning", "--keep-going", "--nitpicky")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, "-d", folder / "doctrees", ROOT / "docs", folder / "pages"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "pages"


def verbs(group: Any, prefix: str = "") -> Iterator[str]:
    """The words that call each command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{name} ")
        else:
            yield f"{prefix}{name}"


def test_every_verb_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    names = list(verbs(typer.main.get_command(app)))
    assert len(names) > 15
    assert [name for name in names if f'<section id="{name.replace(" ", "-")}">' not in page] == []


def test_a_setting_has_type_limits_default_and_meaning(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    entry = page[page.index('id="classify-unit-rows"') :]
    entry = entry[: entry.index("</dd>")]
    for text in ("whole number", "more than 0 and at most 4,096", "256", "Most galaxies in a work unit"):
        assert text in entry


def test_every_column_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "catalogue.html").read_text(encoding="utf-8")
    assert [
        name
        for name in catalogue_schema(load_tree(), uncertainty=True, embedding=True, rejection=True).names
        if f">{name}</span>" not in page
    ] == []


def test_every_public_name_of_a_room_has_an_entry(site: Path) -> None:
    page = (site / "reference" / "python" / "geometry.html").read_text(encoding="utf-8")
    assert [name for name in geometry.__all__ if f'id="pipeline.geometry.{name}"' not in page] == []


def test_links_to_files_beside_the_site_lead_to_their_pages(site: Path) -> None:
    page = (site / "how-to" / "cluster.html").read_text(encoding="utf-8")
    assert 'href="../operations/needs.html"' in page
    assert 'href="../operations/runbook.html"' in page
