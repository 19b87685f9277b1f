"""The page frame: parts as files, one page that stands alone, and nothing of a catalogue that acts in it."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from pathlib import Path

import matplotlib.figure
import pytest

from pipeline.report.document import Figure, Gallery, Picture, Raw, Section, Table, cell, write_document
from pipeline.report.palette import INK, plot_style
from tests.support.catalogues import blob, encoded, parse


def plot(name: str, title: str = "a plot") -> Figure:
    with plot_style():
        figure = matplotlib.figure.Figure((4, 3))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label="rises")
        axes.set_title(title)
        axes.legend()
    return Figure(name, 'How "a" rises\\1', figure)


def test_parts_are_files_and_the_page_holds_them(tmp_path: Path) -> None:
    table = Table(
        "scores", "Scores", ("answer", "rmse", "n"), [("a, b", 0.123456789, 1200), ("=c()", None, "?")]
    )
    gallery = Gallery("Hard ones", [Picture("g<1>", encoded(blob(), "JPEG"), "RMSE 0.3")])
    raw = Raw('<p id="own">own</p>', "#own { color: red; }", 'document.getElementById("own").title = "x";')
    sections = [
        Section("What it says", "One.\n\nTwo.", [plot("first"), table]),
        Section("Galaxies", "", [plot("second"), gallery, raw]),
    ]
    uri = write_document(str(tmp_path), "A <title>", "A lead.", sections, facts=[("0.1", "RMSE")])
    assert uri == f"{tmp_path}/report.html"
    html = Path(uri).read_text()
    page = parse(html)
    assert not page.unbalanced
    assert "A <title>" not in html
    assert [e.text for e in page.of("h2")] == ["What it says", "Galaxies"]
    assert len(page.of("svg")) == 2
    assert {e.attributes["aria-label"] for e in page.of("svg")} == {'How "a" rises\\1'}
    assert page.of("img")[0].attributes["src"].startswith("data:image/jpeg;base64,")
    assert not re.search(r'(src|href)="(?!data:|#|figures/|tables/)', html)
    assert list(csv.reader((tmp_path / "tables/scores.csv").open())) == [
        ["answer", "rmse", "n"],
        ["a, b", "0.123456789", "1200"],
        ["'=c()", "", "?"],
    ]
    assert [e.text for e in page.of("td")] == ["a, b", "0.1235", "1,200", "=c()", "–", "?"]
    for name in ("first", "second"):
        assert (tmp_path / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / f"figures/{name}.svg").read_text()


def test_figures_follow_the_theme_and_share_no_ids(tmp_path: Path) -> None:
    uri = write_document(str(tmp_path), "T", "L", [Section("S", "", [plot("first"), plot("second")])])
    html = Path(uri).read_text()
    ids = [e.attributes["id"] for e in parse(html).elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert all(target in ids for target in re.findall(r"url\(#([^)]+)\)", html))
    assert "var(--ink)" in html
    assert INK not in html[html.index("<main") :]
    assert INK in (tmp_path / "figures/first.svg").read_text()


def test_only_the_page_s_own_scripts_may_run(tmp_path: Path) -> None:
    sections = [Section("S", "", [Raw("<p></p>", script="const a = 1;")])]
    html = Path(write_document(str(tmp_path), "T", "L", sections)).read_text()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 3
    assert "const a = 1;" in scripts[1]
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in html
    assert "default-src 'none'" in html


def test_the_same_report_is_the_same_file(tmp_path: Path) -> None:
    pages = [
        Path(write_document(str(tmp_path / name), "T", "L", [Section("S", "", [plot("f")])])).read_bytes()
        for name in "ab"
    ]
    assert pages[0] == pages[1]


def test_names_of_parts_are_files_names(tmp_path: Path) -> None:
    for parts in ([plot("twice"), plot("twice")], [plot("../up")]):
        with pytest.raises(ValueError, match="can't name a part"):
            write_document(str(tmp_path), "T", "L", [Section("S", "", parts)])
    assert not list(tmp_path.iterdir())


def test_long_tables_are_cut_in_the_page_only(tmp_path: Path) -> None:
    table = Table("long", "Long", ("n",), [(i,) for i in range(30)], shown=10)
    page = parse(Path(write_document(str(tmp_path), "T", "L", [Section("S", "", [table])])).read_text())
    assert len(page.of("td")) == 10
    assert len((tmp_path / "tables/long.csv").read_text().splitlines()) == 31


def test_values_in_words() -> None:
    assert [cell(v) for v in (None, float("nan"), 0.5, 12345, "?", True)] == [
        "–",
        "–",
        "0.5000",
        "12,345",
        "?",
        "True",
    ]
