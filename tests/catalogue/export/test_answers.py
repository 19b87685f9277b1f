"""Answers as fractions of those who are asked, by our names and by those of other surveys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table

from jobs import export as job
from jobs.export import ExportConfig
from pipeline.catalogue import export_catalogue
from pipeline.catalogue.export import Answers, Format, open_snapshot
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.snapshot import BATCH_ROWS
from pipeline.config import CONFIGS, load_config
from pipeline.errors import InputError
from pipeline.tree import DecisionTree, Fraction, compute_fractions, conditional_fractions, load_crosswalk
from tests.catalogue.export import readers
from tests.catalogue.export.samples import AWKWARD, galaxies, write_catalogue, write_sky
from tests.support.tables import snapshot

FORMS: tuple[Format, ...] = ("csv", "parquet", "fits", "votable", "hats")
DECALS = CONFIGS / "crosswalks" / "galaxy_zoo_decals.yaml"


@pytest.fixture
def catalogue(tree: DecisionTree, tmp_path: Path) -> str:
    """Some questions of which too few are asked."""
    rows = galaxies(tree, AWKWARD)
    for place, name in enumerate(rows.column_names):
        if name.startswith("bar_") and name in tree.columns:
            rows = rows.set_column(place, rows.schema.field(name), pa.array([0.2] * len(rows), pa.float32()))
    return write_catalogue(str(tmp_path / "catalogue"), tree, rows)


def read_back(path: str, form: Format, names: Sequence[str]) -> readers.Columns:
    if form == "csv":
        schema = pa.schema([(name, pa.float32()) for name in names])
        return readers.csv_columns(path, schema)
    if form == "parquet":
        return readers.columns(pq.read_table(path))
    return readers.hats_columns(path) if form == "hats" else read_astropy(path, form)


def read_astropy(path: str, form: Format) -> readers.Columns:
    found = readers.astropy_columns(readers.read_astropy(path, form))
    return {k: [None if isinstance(v, float) and np.isnan(v) else v for v in c] for k, c in found.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [None, "galaxy_zoo_decals"])
def test_every_form_has_them(
    form: Format, names: str | None, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    fractions = conditional_fractions(tree) if names is None else load_crosswalk(DECALS, tree).fractions()
    out = str(tmp_path / "out")
    export_catalogue(catalogue, out, tree, form, answers=Answers(fractions=fractions))
    source = snapshot(catalogue)
    answers = np.stack([source[name].to_numpy() for name in tree.columns], axis=1)
    expected = compute_fractions(tree, fractions, answers, 0.5)
    found = read_back(out, form, [fraction.name for fraction in fractions])
    for fraction, values in zip(fractions, expected.T, strict=True):
        wanted = [None if np.isnan(value) else float(value) for value in values]
        assert found.pop(fraction.name) == wanted, fraction.name
    assert list(found) == source.column_names
    bar = "bar_no_fraction"
    assert np.isnan(expected[:, [fraction.name for fraction in fractions].index(bar)]).all()


def test_conditional_ones_stand_in_for_the_cumulative(
    catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    out = str(tmp_path / "out.parquet")
    export_catalogue(
        catalogue, out, tree, "parquet", answers=Answers(False, conditional_fractions(tree), 0.25)
    )
    schema = pq.read_schema(out)
    assert not set(tree.columns) & set(schema.names)
    assert {"object_id", "ra", "bar_answer", "weights"} <= set(schema.names)
    about = schema.field("smooth_or_featured_smooth_fraction").metadata
    assert about[b"description"].decode() == (
        "Fraction answering 'Smooth' of those asked 'Is the galaxy simply smooth and rounded, with no sign "
        "of a disk?'; null where fewer than 0.25 of all are asked"
    )
    assert about[b"ucd"] == b"stat.probability;src.morph"


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_the_names_of_others_fit_into_standard_forms(
    form: Format, catalogue: str, tree: DecisionTree, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    fractions = load_crosswalk(DECALS, tree).fractions()
    export_catalogue(catalogue, out, tree, form, answers=Answers(False, fractions))
    if form == "fits":
        with fits.open(out) as file:
            file.verify("exception")
            names = file[1].columns.names
    else:
        names = [field.name for field in parse_single_table(out).fields]
    assert "smooth-or-featured_smooth_fraction" in names
    assert "bar_strong_fraction" not in names


def test_settings_come_from_a_file_and_from_words(catalogue: str, tree: DecisionTree, tmp_path: Path) -> None:
    file = tmp_path / "export.yaml"
    file.write_text("names: euclid\nleast_asked: 0.1\n")
    given = {"catalogue": catalogue, "out": str(tmp_path / "out.parquet")}
    job.run(load_config(ExportConfig, file, ["least_asked=0"], given))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["bar_no_fraction"].to_pylist() == [0.5] * len(table)
    assert not set(tree.columns) & set(table.column_names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["columns=cumulative", "names=euclid"], "names is for fractions of those asked"),
        (["names=sdss"], "expected a file's path, or one of euclid, galaxy_zoo_decals"),
        (["names=euclid", "format=kaggle"], "format=kaggle has columns of its own"),
        (["columns=all"], "columns='all': Input should be 'cumulative', 'conditional' or 'both'"),
        (["least_asked=2"], "least_asked=2"),
    ],
)
def test_what_does_not_fit_together(words: list[str], message: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"catalogue": str(tmp_path), "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match=message):
        load_config(ExportConfig, None, words, given)


def test_a_crosswalk_of_another_tree(catalogue: str, tmp_path: Path) -> None:
    given = {"catalogue": catalogue, "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match="is of the tree 'galaxy_zoo_2', and the catalogue's is 'efigi'"):
        job.run(load_config(ExportConfig, None, ["names=euclid", "tree=efigi"], given))


def test_they_come_a_batch_at_a_time_and_only_as_asked(tree: DecisionTree, tmp_path: Path) -> None:
    catalogue = write_sky(str(tmp_path / "catalogue"), tree, BATCH_ROWS + 1)
    rows = ExportedRows(open_snapshot(catalogue, tree), tree, Answers(False, conditional_fractions(tree)))
    sizes = [len(batch) for batch in rows.batches()]
    assert sum(sizes) == BATCH_ROWS + 1
    assert max(sizes) <= BATCH_ROWS
    names = ["bar_yes_fraction", "object_id"]
    assert [batch.schema.names for batch in rows.batches(names)] == [names] * len(sizes)


def test_no_two_columns_have_the_same_name(catalogue: str, tree: DecisionTree) -> None:
    clash = Fraction("object_id", "bar", ("yes",))
    with pytest.raises(InputError, match="two columns 'object_id'"):
        export_catalogue(catalogue, "unused", tree, "csv", answers=Answers(True, (clash,)))
