"""Every form says where its rows come from, in the words of its own standard."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse, validate
from hats.catalog import TableProperties
from hats.io.validation import is_valid_catalog

from pipeline import __version__
from pipeline.catalogue import export_catalogue
from pipeline.catalogue.export import Format, Rights, open_snapshot
from pipeline.protocol import Plan, RunLayout, catalogue_uri
from pipeline.protocol.records import read_ledger
from pipeline.tree import DecisionTree
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue
from tests.support.runs import finish
from tests.support.steps import commit_run

RIGHTS = Rights("Observatorio del Teide, Müller et al.", "CC-BY-4.0")
SAID = {
    "server_software": f"tuningfork {__version__}",
    "creator": RIGHTS.creator,
    "rights": "CC-BY-4.0",
    "article": "2015MNRAS.450.1441D 2013MNRAS.435.2835W",
    "resource_version": "1",
    "tree": "galaxy_zoo_2",
    "weights": "compact 1",
    "weights_sha256": "w" * 64,
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return plan.model_copy(update={"weights": "compact 1"})


@pytest.fixture
def catalogue(layout: RunLayout, tree: DecisionTree, plan: Plan) -> str:
    for unit in plan.units():
        finish(layout, tree, unit)
    commit_run(layout, tree, plan, read_ledger(layout), epoch=1)
    return catalogue_uri(layout.output)


def export(catalogue: str, folder: Path, tree: DecisionTree, form: Format) -> str:
    out = str(folder / f"out.{form}")
    export_catalogue(catalogue, out, tree, form, rights=RIGHTS)
    return out


def test_a_snapshot_knows_the_run_and_the_weights(catalogue: str, tree: DecisionTree, plan: Plan) -> None:
    provenance = open_snapshot(catalogue, tree).provenance
    assert (provenance.version, provenance.run) == (1, plan.run)
    assert provenance.making["weights"] == "compact 1"
    assert provenance.making["numerics"].startswith("answers 1")
    assert re.fullmatch(TIME, provenance.written)


def test_fits_says_it_in_its_primary_header(
    catalogue: str, tree: DecisionTree, plan: Plan, tmp_path: Path
) -> None:
    with fits.open(export(catalogue, tmp_path, tree, "fits")) as file:
        file.verify("exception")
        header = file[0].header
    assert header["ORIGIN"] == header["AUTHOR"] == "Observatorio del Teide, M?ller et al."
    assert re.fullmatch(TIME, header["DATE"])
    assert (header["CREATOR"], header["REFERENC"]) == (SAID["server_software"], "2015MNRAS.450.1441D")
    assert (header["WEIGHTS"], header["WSHA256"], header["LICENSE"]) == ("compact 1", "w" * 64, "CC-BY-4.0")
    assert (header["RUN"], header["CATVERS"]) == (plan.run, 1)
    assert f"run {plan.run}" in str(header["HISTORY"])
    assert header["TREE"] == "galaxy_zoo_2"


def test_votable_says_it_in_infos_and_is_valid(
    catalogue: str, tree: DecisionTree, plan: Plan, tmp_path: Path
) -> None:
    out = export(catalogue, tmp_path, tree, "votable")
    report = io.StringIO()
    assert validate(out, output=report), report.getvalue()
    ids = re.findall(r'\bID="([^"]*)"', Path(out).read_text())
    assert len(set(ids)) == len(ids)
    (resource,) = parse(out, verify="exception").resources
    said: dict[str, str] = {}
    for info in resource.infos:
        said[info.name] = f"{said[info.name]} {info.value}" if info.name in said else info.value
    assert SAID.items() <= said.items()
    assert said["run"] == plan.run
    (system,) = resource.coordinate_systems
    assert system.system == "ICRS"
    (table,) = resource.tables
    assert [field.name for field in table.fields if field.ref == system.ID] == ["ra", "dec"]


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_awkward_rows_are_valid_too(form: Format, tree: DecisionTree, tmp_path: Path) -> None:
    rows = galaxies(tree, AWKWARD)
    out = export(write_catalogue(str(tmp_path / "catalogue"), tree, rows), tmp_path, tree, form)
    if form == "fits":
        with fits.open(out) as file:
            file.verify("exception")
            assert "WEIGHTS" not in file[0].header  # which nothing says
    else:
        report = io.StringIO()
        assert validate(out, output=report), report.getvalue()


def test_parquet_says_it_by_key_and_value(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    metadata = pq.read_schema(export(catalogue, tmp_path, tree, "parquet")).metadata
    for name, value in SAID.items():
        assert metadata[f"tuningfork.{name}".encode()].decode() == value
    header = parse(io.BytesIO(metadata[b"IVOA.VOTable-Parquet.content"]), verify="exception")
    assert header.resources[0].infos[0].value == SAID["server_software"]


def test_hats_says_it_in_its_properties(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_catalogue(str(tmp_path / "catalogue"), tree, galaxies(tree, AWKWARD))
    out = export(catalogue, tmp_path, tree, "hats")
    assert is_valid_catalog(out, strict=True)
    found = TableProperties.read_from_dir(out).model_dump()
    assert found["hats_creator"] == RIGHTS.creator
    assert (found["obs_copyright"], found["bib_reference"]) == ("CC-BY-4.0", SAID["article"])
    assert found["hats_builder"].startswith(SAID["server_software"])
    assert found["tuningfork_run"] == "0" * 12
