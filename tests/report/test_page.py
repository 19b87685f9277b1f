from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.overview import read_catalogue
from pipeline.report import RunCounts, RunFacts, render_report
from tests.support.catalogues import (
    FACTS,
    TREE,
    blob,
    catalogue,
    cutouts,
    encoded,
    parse,
    random_probabilities,
    saying,
)

FIELD = encoded(blob(200), "JPEG")
HOSTILE = [
    "</script><b>bold</b>",
    "<!--<script>",
    "\" onclick='x' <img src=//evil.example/x>",
    "{{ 7 * 7 }}",
    "&lt;",
]


def render(
    table: pa.Table,
    pictures: pa.Table | None = None,
    facts: RunFacts = FACTS,
    field: bytes | None = FIELD,
    most: int = 400,
) -> str:
    counts, shown = read_catalogue(TREE, [table], most)
    pictures = cutouts(table["object_id"].to_pylist()) if pictures is None else pictures
    return render_report(TREE, counts, shown, pictures, facts, field)


@pytest.fixture(scope="module")
def html() -> str:
    return render(catalogue(random_probabilities(30)))


def test_every_shown_galaxy_has_a_tile_a_ring_and_data(html: str) -> None:
    page = parse(html)
    ids = {f"galaxy-{i:03d}" for i in range(30)}
    assert {e.text for e in page.of("bdi")} == ids
    assert {e.attributes["aria-label"].split(",")[0] for e in page.of("g", "ring")} == ids
    data = json.loads(page.by_id("data")[0].text)
    assert {g["id"] for g in data["galaxies"]} == ids
    assert len(page.of("li", "tile")) == len(page.of("g", "ring")) == 30


def test_the_page_is_balanced_and_its_ids_are_unique(html: str) -> None:
    page = parse(html)
    assert page.unbalanced == []
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in page.of("a"):
        assert element.attributes["href"].removeprefix("#") in ids


def test_nothing_comes_from_elsewhere(html: str) -> None:
    for element in parse(html).elements:
        for name in ("src", "href", "srcset", "poster", "action", "xlink:href"):
            value = element.attributes.get(name, "data:")
            assert value.startswith(("data:", "#")), (element.tag, name, value[:60])
        assert "url(" not in element.attributes.get("style", "")
        assert not [name for name in element.attributes if name.startswith("on")]
    without_links = re.sub(
        r"https://(skyserver\.sdss\.org|www\.legacysurvey\.org)/", "", html
    )  # cards lead there
    assert not re.search(r"""https?://|@import|url\(|\bimport\(|fetch\(""", without_links)


def test_the_policy_allows_just_the_pages_own_script(html: str) -> None:
    page = parse(html)
    policy = next(e.attributes["content"] for e in page.of("meta") if "http-equiv" in e.attributes)
    script = next(e.text for e in page.of("script") if "type" not in e.attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_ids_are_text() -> None:
    table = catalogue(random_probabilities(len(HOSTILE)), HOSTILE)
    facts = dataclasses.replace(FACTS, title="</title><script>alert(1)</script>", run="<i>r")
    page = parse(render(table, facts=facts))
    assert {e.text for e in page.of("bdi")} == set(HOSTILE)
    assert {g["id"] for g in json.loads(page.by_id("data")[0].text)["galaxies"]} == set(HOSTILE)
    assert not set(page.by_id("data")[0].text) & set("<>&")
    assert len(page.of("script")) == 2
    assert page.unbalanced == []
    assert page.of("title")[0].text.startswith("</title><script>alert(1)")


def test_data_says_the_path_and_what_decides() -> None:
    edge_on = saying(smooth_or_featured="featured_or_disk", disk_edge_on="yes", something_odd="no")
    data = json.loads(parse(render(catalogue(edge_on))).by_id("data")[0].text)
    galaxy = data["galaxies"][0]
    keys = [q.key for q in TREE.questions]
    assert [keys[q] for q, _, _ in galaxy["path"]] == [
        "smooth_or_featured",
        "disk_edge_on",
        "bulge_shape",
        "something_odd",
    ]
    assert galaxy["deciding"] == 2
    assert galaxy["confidence"] == pytest.approx(0.81, abs=1e-3)
    assert TREE.classes[galaxy["class"]].name == "Edge-on disk"
    assert galaxy["p"] == pytest.approx(edge_on.tolist(), abs=1e-4)
    assert len(galaxy["agreement"]) == len(TREE.questions)


def test_an_empty_catalogue_still_makes_a_page() -> None:
    table = catalogue(np.zeros((0, TREE.answer_count)))
    html = render(table)
    page = parse(html)
    assert page.unbalanced == []
    assert "The catalogue holds no galaxies" in html
    assert page.of("li", "tile") == page.of("g", "ring") == page.of("rect") == []


def test_without_a_field_there_is_no_field_section() -> None:
    page = parse(render(catalogue(random_probabilities(3)), field=None))
    assert page.by_id("field") == page.of("g", "ring") == []
    assert len(page.of("li", "tile")) == 3
    assert "#field" not in {e.attributes["href"] for e in page.of("a")}


def test_positions_may_be_unknown() -> None:
    n = 3
    table = catalogue(random_probabilities(n), ra=[None, float("nan"), 1.0], dec=[None, 2.0, 3.0])
    ids = table["object_id"].to_pylist()
    pictures = cutouts(ids, x=[None, 5.0, float("nan")], y=[1.0, 6.0, 2.0], radius=[None] * n)
    page = parse(render(table, pictures))
    galaxies = {g["id"]: g for g in json.loads(page.by_id("data")[0].text)["galaxies"]}
    assert [galaxies[i]["ra"] for i in ids] == [None, None, 1.0]
    assert [e.attributes["aria-label"].split(",")[0] for e in page.of("g", "ring")] == [ids[1]]


def test_rings_lie_on_their_pixels_small_ones_on_top() -> None:
    table = catalogue(random_probabilities(2))
    page = parse(render(table, cutouts(table["object_id"].to_pylist(), x=[10.0, 50.0], radius=[30.0, 60.0])))
    circles = [e.attributes for e in page.of("circle", "line")]
    assert [(c["cx"], c["r"]) for c in circles] == [("50.5", "60.0"), ("10.5", "30.0")]
    halos = [e.attributes for e in page.of("circle", "halo")]
    assert [{**h, "class": ""} for h in halos] == [{**c, "class": ""} for c in circles]
    svg = next(e for e in page.of("svg") if e.attributes["viewbox"] == "0 0 200 200")
    assert svg.attributes["role"] == "group"


def test_a_galaxy_without_a_readable_cutout_has_a_placeholder() -> None:
    table = catalogue(random_probabilities(3))
    pictures = cutouts(["galaxy-001", "galaxy-002", "stranger"], image=[encoded(blob()), b"broken", b""])
    page = parse(render(table, pictures))
    assert len(page.of("li", "tile")) == 3
    assert len(page.of("span", "missing")) == 2
    assert "stranger" not in {g["id"] for g in json.loads(page.by_id("data")[0].text)["galaxies"]}


def test_distributions_are_over_the_whole_catalogue() -> None:
    table = catalogue(random_probabilities(50))
    page = parse(render(table, most=5))
    assert len(page.of("li", "tile")) == 5
    labels = [e.attributes["aria-label"] for e in page.of("svg") if e.attributes.get("role") == "img"]
    assert len(labels) == 2
    assert all("50 galaxies" in label for label in labels)


def test_colour_is_never_alone(html: str) -> None:
    page = parse(html)
    for badge in page.of("span", "badge"):
        assert re.fullmatch(r"[A-Z–]{1,2}\d?", badge.text)
    for ring in page.of("g", "ring"):
        assert any(named.name in ring.attributes["aria-label"] for named in TREE.classes)


def test_the_run_is_told(html: str) -> None:
    page = parse(html)
    cells = [e.text for e in page.elements if e.tag in {"td", "th", "code", "li", "dd"}]
    for expected in (
        "hubble-1",
        "truncated",
        "too_small",
        "2.60.0",
        "0123abcd",
        "Not for <mergers>.",
        "2.0 / s",
    ):
        assert expected in cells
    assert cells.index("too_small") < cells.index("truncated")
    assert "9 May 2031, 14:03 UTC" in html


def test_a_run_with_nothing_quarantined_and_no_time() -> None:
    facts = dataclasses.replace(FACTS, counts=RunCounts(1, {}), seconds=0.0, limits=())
    html = render(catalogue(random_probabilities(1)), facts=facts)
    assert "Every input row was classified." in html
    assert "states no limits" in html


def test_a_start_that_is_no_date_is_refused() -> None:
    with pytest.raises(InputError, match="'yesterday'"):
        render(catalogue(random_probabilities(1)), facts=dataclasses.replace(FACTS, started="yesterday"))


def test_a_cutout_table_without_images_is_refused() -> None:
    table = catalogue(random_probabilities(1))
    with pytest.raises(InputError, match="no column image"):
        render(table, cutouts(["galaxy-000"]).drop_columns(["image"]))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_tables_from_other_readers_have_other_strings(kind: pa.DataType) -> None:
    table = catalogue(random_probabilities(3))
    other = table.set_column(0, "object_id", table["object_id"].cast(kind))
    pictures = cutouts(table["object_id"].to_pylist())
    pictures = pictures.set_column(0, "object_id", pictures["object_id"].cast(kind))
    page = parse(render(other, pictures))
    assert len(page.of("li", "tile")) == 3
    assert page.of("span", "missing") == []
