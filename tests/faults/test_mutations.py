"""What `verify` sees of finished outputs that something has changed, one thing at a time."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.verify import VerifyConfig
from jobs.verify import run as verify
from pipeline.errors import InputError
from tests.faults.finished import STATES, make_finished, make_unsealed, refresh, source_without
from tests.faults.mutations import Anatomy, Mutation, file_mutations, spread
from tests.faults.row_mutations import forged_versions, row_mutations
from tests.support.command import tuningfork_here as tuningfork
from tests.support.tables import snapshot

SEEN = 1
"""The exit status of `verify` where it has findings."""

HARMLESS = (
    ("lease", ".*", "no reader needs it; a run writes it anew, or says how to go on where it is damaged"),
    ("lease's lock", ".*", "it is empty, and there only to be locked"),
    ("marker of removed parts", "(?!deleted).*", "that it is there is all that it tells"),
    ("checkpoint's pointer", ".*", "without it the Delta library looks for checkpoints itself"),
    (
        "checkpoint",
        "byte flipped|appended",
        "what readers rely on is held to the data files and to the tree: files, rows, statistics, columns",
    ),
    (
        "version|version before a checkpoint",
        "deleted",
        "the Delta library itself removes what a checkpoint holds; where there is none it is seen",
    ),
    (
        "later version",
        "(?!cut).*",
        "it changes no row, or it would be seen; it tells a vacuum's time, and its epoch, as does the lease",
    ),
    ("earlier data file", "deleted", "a vacuum may have removed it; who reads that version is told"),
    ("earlier part", ".*", "nothing reads the parts of a run that a later one has superseded"),
    ("added version", "properties set.*", "no row depends on the table's properties"),
)
"""Mutations that `verify` needn't see: kind of file, what is done to it, and why not."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an output in each of `STATES`."""
    folder = tmp_path_factory.mktemp("finished")
    make_finished(folder)
    return folder


def all_mutations(output: Path) -> list[Mutation]:
    """The same for the same output: hundreds."""
    random = Random(8)
    return [*file_mutations(output, random, 8), *row_mutations(output, random), *forged_versions(output)]


def status(output: Path) -> tuple[int, str]:
    """The exit status of `verify`, and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            return verify(VerifyConfig(output=str(output))), said.getvalue()
        except InputError as error:
            return 2, str(error)


READ = frozenset(
    {"report", "plan", "config", "survey file", "index", "ledger entry", "quarantine", "summary", "changes"}
)
"""Kinds of files that people and programs read, beside the catalogue's."""


def files_read(output: Path) -> list[str]:
    """Places of such files."""
    anatomy = Anatomy(output)
    return [place for place in anatomy.files if anatomy.kind(place) in READ]


def what_readers_see(output: Path, places: list[str]) -> tuple[object, ...]:
    """Rows, statistics and columns of the catalogue, and the files at some places."""
    catalogue = str(output / "catalogue")
    table = DeltaTable(catalogue)
    actions = pa.table(table.get_add_actions(flatten=True)).drop_columns(["modification_time"]).to_pylist()
    files = {place: (output / place).read_bytes() for place in places if (output / place).exists()}
    columns = [(field.name, field.type) for field in pa.schema(table.schema().to_arrow())]
    return snapshot(catalogue).to_pylist(), actions, columns, files


def is_harmless(mutation: Mutation) -> bool:
    return any(
        re.fullmatch(file, mutation.file) and re.fullmatch(what, mutation.what) for file, what, _ in HARMLESS
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("count", [12, pytest.param(2000, marks=pytest.mark.long)], ids=["some", "all"])
def test_what_matters_is_seen_and_what_is_not_seen_is_harmless(
    finished: Path, state: str, count: int
) -> None:
    output, copy = finished / state, finished / "mutated"
    assert status(output)[0] == 0
    places = files_read(output)
    before, unseen = what_readers_see(output, places), []
    mutations = all_mutations(output)
    assert len(mutations) > 400
    for mutation in spread(mutations, count, Random(9)):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(output, copy)
        mutation.apply(copy)
        code, said = status(copy)
        if code != SEEN and not (
            code == 0 and is_harmless(mutation) and what_readers_see(copy, places) == before
        ):
            unseen.append(f"{mutation}: status {code}, {said}")
    assert unseen == []


def test_a_missing_file_of_an_earlier_version_is_told_when_that_is_read(finished: Path) -> None:
    output = shutil.copytree(finished / "refreshed", finished / "earlier")
    anatomy = Anatomy(output)
    (file,) = (output / place for place in anatomy.files if anatomy.kind(place) == "earlier data file")
    words = ["export", "earlier/catalogue", "earlier.csv", "--format", "csv", "--as-of", "1"]
    file.unlink()
    assert status(output)[0] == 0
    refused = tuningfork(*words, cwd=finished)
    assert refused.returncode == 2
    assert file.name in refused.stderr
    assert "doesn't exist" in refused.stderr


@pytest.mark.long
def test_an_output_of_before_there_were_seals_is_verified_and_gets_one_with_its_next_run(
    finished: Path,
) -> None:
    output = shutil.copytree(finished / "fresh", finished / "unsealed")
    make_unsealed(output)
    code, said = status(output)
    assert code == 0, said
    assert "12 input rows = 11 classified + 1 quarantined" in said
    assert "made by a version that sealed nothing" in said
    with source_without(finished, 2):
        assert "Nothing changed" in refresh(finished, "unsealed")
    with source_without(finished, 1):
        assert "2 of 12 galaxies are new or have changed, 1 are gone" in refresh(finished, "unsealed")
    code, said = status(output)
    assert code == 0, said
    assert "sealed" not in said
    for form in ("fits", "csv"):
        words = ["export", "unsealed/catalogue", f"unsealed.{form}", "--format", form]
        assert "12 galaxies written" in tuningfork(*words, cwd=finished).stdout
    words = ["export", "unsealed/catalogue", "first.csv", "--format", "csv", "--as-of", "0"]
    assert "11 galaxies written" in tuningfork(*words, cwd=finished).stdout
    assert tuningfork("vacuum", "unsealed", "parts=true", cwd=finished).returncode == 0
    assert "11 classified" in tuningfork("status", "unsealed", cwd=finished).stdout
    assert status(output)[0] == 0


def test_what_can_be_told_of_an_unsealed_output_is_told(finished: Path) -> None:
    output = shutil.copytree(finished / "fresh", finished / "edited")
    make_unsealed(output)
    (file,) = (output / "catalogue").glob("*.parquet")
    rows = pq.read_table(file)
    pq.write_table(rows.set_column(1, rows.schema.field("ra"), pa.array([1.0] * len(rows))), file)
    code, said = status(output)
    assert code == SEEN
    assert "as in the Delta log" in said or "where the part has" in said
