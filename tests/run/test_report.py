"""The report of a catalogue that isn't read at once."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from pipeline import storage
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.protocol import RunLayout
from pipeline.protocol.records import QUARANTINE_SCHEMA, RunSummary
from pipeline.run import report
from pipeline.run.cutouts import read_cutouts
from pipeline.run.run import prepare
from pipeline.run.settings import StreamConfig
from pipeline.survey import open_source
from tests.support.catalogues import catalogue, cutouts, parse, random_probabilities
from tests.support.galaxies import galaxy, png

ROWS = 700


def _no_rejects() -> bytes:
    sink = io.BytesIO()
    pq.write_table(QUARANTINE_SCHEMA.empty_table(), sink)
    return sink.getvalue()


def test_the_page_of_a_large_catalogue_counts_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger than what is in memory at once: the page told the size of a sample as the catalogue's."""
    survey = tmp_path / "cutouts"
    survey.mkdir()
    table = catalogue(random_probabilities(ROWS), input=[f"{survey}/a.parquet#{i}" for i in range(ROWS)])
    pq.write_table(cutouts(table["object_id"].to_pylist()), survey / "a.parquet")
    for rows in (table[:300], table[300:]):
        write_deltalake(str(tmp_path / "catalogue"), rows, mode="append")
    monkeypatch.setattr(report, "_PIECE_ROWS", 50)
    summary = RunSummary(
        run="r",
        rows=ROWS,
        classified=ROWS,
        quarantined={},
        bytes_in=1,
        seconds=2.0,
        resumed=False,
        started="2031-05-09T14:03:00+00:00",
    )
    storage.write_bytes(RunLayout(str(tmp_path), "r").quarantine, _no_rejects())
    config = StreamConfig(input=str(survey), output=str(tmp_path), title="Large", report_galaxies=30)
    report.write_report(prepare(config), summary)
    html = (tmp_path / "report.html").read_text()
    page = parse(html)
    assert "700 galaxies have a predicted morphology" in html
    assert "Over all 700 galaxies of the catalogue" in html
    assert len(page.of("li", "tile")) == 30
    cells = [e.text.strip() for e in page.of("td", "number")]
    assert sum(int(cell.replace(",", "")) for cell in cells if cell.replace(",", "").isdigit()) >= ROWS
    labels = [e.attributes["aria-label"] for e in page.of("svg") if e.attributes.get("role") == "img"]
    assert all("700 galaxies" in label for label in labels)


def test_cutouts_hold_no_more_than_the_rows_shown(tmp_path: Path) -> None:
    """A slice of a row group would keep all of it in memory."""
    shard = str(tmp_path / "s.parquet")
    rows = [{"object_id": f"g{i}", "image": png(galaxy(i % 4, 40))} for i in range(300)]
    pq.write_table(pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA), shard, row_group_size=100)
    places = [f"{shard}#{row}" for row in (250, 7, 120, 8)]
    found = read_cutouts(places, lambda shard: open_source())
    assert sorted(found["object_id"].to_pylist()) == ["g120", "g250", "g7", "g8"]
    assert found.get_total_buffer_size() < 60_000
