"""Bytes and loading time of the pages with galaxies: ``python -m tests.benchmarks.page_weight``.

The run's report and the gallery of an evaluation, of a large catalogue and with many galaxies shown, in
Chromium, offline, from their files. The pictures are those of the Hubble deep field, again and again. A page
is loaded when its scripts have run (DOMContentLoaded), and of use when a click has opened a card. JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Browser

from pipeline.cutouts import read_field
from pipeline.cutouts.ingest import IngestHubbleConfig, ingest_hubble
from pipeline.evaluation.overview import read_catalogue
from pipeline.report import render_report
from pipeline.report.document import Section, write_document
from pipeline.report.judged import judged_gallery, spread_by_error
from tests.support.browser import chromium, opened
from tests.support.catalogues import FACTS, TREE, catalogue, random_probabilities


def with_ids(cutouts: pa.Table, ids: list[str]) -> pa.Table:
    """The cutouts over and over, one for each id."""
    rows = cutouts.take(list(islice(cycle(range(len(cutouts))), len(ids))))
    return rows.set_column(0, "object_id", pa.array(ids, rows.schema.field(0).type))


def write_pages(folder: Path, rows: int, most: int) -> dict[str, Path]:
    """The pages by name."""
    survey = str(folder / "cutouts")
    ingest_hubble(IngestHubbleConfig(output=survey))
    pictures = pq.read_table(sorted((folder / "cutouts").rglob("*.parquet"))[0])
    predicted = random_probabilities(rows)
    votes = 0.5 * predicted + 0.5 * random_probabilities(rows, seed=1)
    table = catalogue(predicted)
    ids = table["object_id"].to_pylist()

    counts, shown = read_catalogue(TREE, [table], most)
    cutouts = with_ids(pictures, shown["object_id"].to_pylist())
    report = folder / "run.html"
    html = render_report(TREE, counts, shown, cutouts, FACTS, read_field(survey))
    report.write_text(html, encoding="utf-8")

    chosen = spread_by_error(predicted, votes, most)
    cutouts = with_ids(pictures, [ids[i] for i in chosen])
    part = judged_gallery(TREE, ids, predicted, votes, chosen, cutouts)
    document = write_document(str(folder / "evaluation"), "Evaluation", "", [Section("Galaxies", "", [part])])
    return {"report": report, "judged": Path(document)}


def load(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds until DOMContentLoaded, and until a card is open."""
    started = time.monotonic()
    with opened(browser, path) as found:
        found.page.locator(".tile button").first.click()
        found.page.locator("#card-title").wait_for()
        usable = time.monotonic() - started
        timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
        loaded = float(found.page.evaluate(timing)) / 1000
        if found.complaints():
            raise SystemExit(f"{path}: {found.complaints()}")
    return loaded, usable


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--shown", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, object] = {"rows": options.rows, "shown": options.shown}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, path in write_pages(Path(folder), options.rows, options.shown).items():
            times = np.array([load(browser, path) for _ in range(options.repeats)])
            found[name] = {
                "megabytes": round(path.stat().st_size / 1e6, 2),
                "loaded_seconds": round(statistics.median(times[:, 0]), 3),
                "card_seconds": round(statistics.median(times[:, 1]), 3),
            }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
