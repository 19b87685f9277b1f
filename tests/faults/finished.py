"""Finished outputs made by the real verbs, in the states that an output goes through."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from numpy.typing import NDArray

from tests.support import forms
from tests.support.command import tuningfork_here as tuningfork
from tests.support.forms import skies, sky, write_tar
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot

STATES = ("fresh", "vacuumed", "refreshed", "checkpointed")
"""Just made; without its parts; with rows that a refresh carried over; and that with a checkpoint."""

_SETTINGS = ("survey=survey.yaml", "transforms=1", "precision=float32", "unit_rows=8", "report_galaxies=4")
_LONG_AGO = 1_700_000_000


def make_finished(folder: Path) -> None:
    """An output for each of `STATES`, all of them below the folder that holds their source."""
    _write_source(folder)
    refresh(folder, "fresh")
    vacuumed = shutil.copytree(folder / "fresh", folder / "vacuumed")
    stray = vacuumed / "catalogue" / "part-of-no-version.parquet"
    stray.write_bytes(b"cut short")
    os.utime(stray, (_LONG_AGO, _LONG_AGO))
    done = tuningfork("vacuum", "vacuumed", "parts=true", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "fresh", folder / "refreshed")
    (folder / "later" / "shard-1.tar").rename(folder / "cutouts" / "shard-2.tar")
    with source_without(folder, 1):
        refresh(folder, "refreshed")
    shutil.copytree(folder / "refreshed", folder / "checkpointed")
    DeltaTable(str(folder / "checkpointed" / "catalogue")).create_checkpoint()


def _write_source(folder: Path) -> None:
    """Shards 0 and 1 of a source, of which a picture is broken; and, apart, what becomes of the second.

    Of its galaxies one changes, one goes and one comes.
    """
    first = skies(12, 64)
    second = [*first[:7], sky("g007", 7, galaxy(107, 64)), *first[8:11], sky("g012", 12, galaxy(12, 64))]
    broken = first[3].picture

    def encode(pixels: NDArray[np.uint8]) -> bytes:
        return b"no picture" if pixels is broken else png(pixels)

    for name, galaxies in (("cutouts", first), ("later", second)):
        (folder / name).mkdir()
        settings = write_tar(folder / name, galaxies, encode)
    survey = {"name": "made", "color": forms.COLOR, **settings}
    (folder / "survey.yaml").write_text(yaml.safe_dump(survey))


def refresh(folder: Path, output: str) -> str:
    """Bring an output up to date with the source as it is now; what the verb says."""
    done = tuningfork("refresh", "input=cutouts", f"output={output}", *_SETTINGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def source_without(folder: Path, shard: int) -> Iterator[None]:
    """Have the source lack a shard; the others stay as they are."""
    path = folder / "cutouts" / f"shard-{shard}.tar"
    aside = path.rename(folder / path.name)
    try:
        yield
    finally:
        aside.rename(path)


def make_unsealed(output: Path) -> None:
    """Have a finished output of one run be as the version before there were seals left it.

    That wrote the table as its version 0 with the Delta library's own writer, and a summary without digests.
    """
    (summary_file,) = output.glob("runs/*/summary.json")
    summary = json.loads(summary_file.read_text())
    run, catalogue = summary["run"], output / "catalogue"
    rows = snapshot(str(catalogue))
    shutil.rmtree(catalogue)
    write_deltalake(
        str(catalogue),
        rows,
        mode="error",
        name="Galaxy morphology",
        description="Answers of the Galaxy Zoo 2 decision tree",
        commit_properties=CommitProperties(
            app_transactions=[Transaction(run, 0), Transaction("lease", 1)], custom_metadata={"run": run}
        ),
    )
    del summary["files"], summary["checksum"]
    summary_file.write_text(json.dumps(summary, indent=1))
