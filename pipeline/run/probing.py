"""A new task from few labels: a probe, its answers for the whole catalogue, and a page."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.report.document import write_document
from pipeline.report.probe import ProbeGalleries, probe_sections
from pipeline.representations import Embeddings
from pipeline.representations.gathering import gather, vectors_of
from pipeline.representations.labels import Labels
from pipeline.representations.probe import Probe, write_probe
from pipeline.representations.probe_fitting import HeldOut, fit_probe
from pipeline.run.answering import Answers
from pipeline.run.scores import say_missing, thumbnails_of


@dataclass(frozen=True)
class Fitted:
    """A probe that was just learnt, and how well it answers for galaxies held out."""

    probe: Probe
    held_out: HeldOut


def fit(embeddings: Embeddings, labels: Labels, output: str, seed: int) -> Fitted:
    """Learn a probe from a catalogue's embeddings and write it.

    Raises
    ------
    InputError
        If the catalogue has none of the labelled galaxies, or too few.
    """
    galaxies = gather(embeddings, labels.ids)
    present = galaxies["object_id"].to_pylist()
    if not present:
        raise InputError(
            f"{embeddings.uri} has none of the {len(labels):,} galaxies of {labels.uri}: ids there are like "
            f"{labels.ids[0]!r}; expected the catalogue's object_id"
        )
    say_missing(labels.uri, labels.ids, present, embeddings.uri)
    probe, held_out = fit_probe(vectors_of(galaxies), labels.of(present), embeddings, seed)
    write_probe(output, probe)
    return Fitted(probe, held_out)


def write_page(
    embeddings: Embeddings,
    fitted: Fitted,
    answers: Answers,
    rows: int,
    output: str,
) -> str:
    """Write ``report.html``; its URI."""
    probe, score = fitted.probe, fitted.probe.score
    tables = [*(keep.table for keep in answers.surest), answers.doubtful.table]
    pictures = thumbnails_of(
        embeddings.uri, pa.concat_tables([table.select(["object_id", "input"]) for table in tables])
    )
    galleries = ProbeGalleries(
        [(table["object_id"].to_pylist(), table["value"].to_pylist()) for table in tables[:-1]],
        tables[-1]["object_id"].to_pylist(),
        pictures,
    )
    expected = answers.sums / max(rows, 1)
    return write_document(
        output,
        f"“{probe.column}” from {probe.labels:,} labels",
        f"A linear map from what the network sees to {', '.join(probe.classes)}, learnt from "
        f"{probe.labels:,} labelled galaxies and applied to {rows:,}.",
        probe_sections(probe, fitted.held_out, galleries),
        facts=[
            (f"{score.accuracy:.1%}", "right, of galaxies held out"),
            (f"{score.auroc:.3f}", "area under the ROC curve"),
            (f"{probe.labels:,}", "labels"),
            *(
                [(f"{expected[1]:.1%}", "of the catalogue, expected")]
                if probe.is_yes_or_no
                else [(f"{len(probe.classes)}", "classes")]
            ),
        ],
        caveat="Held out: each labelled galaxy is answered by a map that learnt from the others. The labels "
        "are taken as a fair sample: where they were chosen by hand, the catalogue differs from them.",
    )
