"""The page of a catalogue's clumps."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.clumps import CLUMPS, unpack_clumps
from pipeline.catalogue.snapshot import open_snapshot
from pipeline.clumps.weights import DetectorCard, read_detector_card
from pipeline.cutouts.table import conform
from pipeline.protocol import catalogue_uri
from pipeline.report.clumps import ClumpCounts, ClumpyGalaxy, clump_sections
from pipeline.report.document import write_document
from pipeline.run.cutouts import readable_cutouts, reader_of_output
from pipeline.tree import load_tree

_FOLDER = "clumps"


def write_clump_page(output: str, tree: str, weights: str, shown: int) -> str:
    """Write ``<output>/clumps/report.html``, with figures and tables beside it; its URI.

    Parameters
    ----------
    tree, weights
        URIs of the decision tree of the catalogue, and of the detector that found its clumps.
    shown
        At most how many galaxies it shows: those with most clumps.

    Raises
    ------
    InputError
        If the output has no catalogue with clumps.
    """
    output = storage.absolute(output)
    card = read_detector_card(weights)
    counts, most = _gathered(output, tree, shown)
    places = [place for _, _, place, _ in most]
    cutouts = conform(readable_cutouts(places, reader_of_output(output))).to_pylist()
    by_id = {cutout["object_id"]: cutout for cutout in cutouts}
    galaxies = [ClumpyGalaxy(name, by_id.get(name), clumps) for _, name, _, clumps in most]
    above = counts.above
    return write_document(
        storage.join(output, _FOLDER),
        "Star-forming clumps",
        f"{counts.clumps:,} clumps in {counts.clumpy:,} of {counts.galaxies:,} galaxies, each with a "
        f"probability of at least {card.threshold:g}.",
        clump_sections(counts, galaxies, card.score),
        facts=[
            (f"{counts.galaxies:,}", "galaxies"),
            (f"{counts.clumpy:,}", "with clumps"),
            (f"{above['relaxed']:,}", "clumps of 3 % and more"),
            (f"{above['strict']:,}", "of 8 % and more"),
        ],
        caveat=_caveat(card),
    )


def _caveat(card: DetectorCard) -> str:
    return " ".join(card.not_good_for)


def _gathered(
    output: str, tree: str, shown: int
) -> tuple[ClumpCounts, list[tuple[int, str, str, NDArray[np.void]]]]:
    """The counts, and ``(clumps, object_id, input, its clumps)`` of the galaxies with most of them."""
    counts, most = ClumpCounts(), list[tuple[int, str, str, NDArray[np.void]]]()
    snapshot = open_snapshot(catalogue_uri(output), load_tree(tree))
    for batch in snapshot.batches(["object_id", "input", "stale", CLUMPS]):
        current = batch.filter(batch["stale"].is_null())
        clumps = unpack_clumps(current[CLUMPS].to_pylist())
        counts.add(clumps)
        names, places = (current[name].to_pylist() for name in ("object_id", "input"))
        own = [
            (len(one), name, place, one)
            for one, name, place in zip(clumps, names, places, strict=True)
            if len(one)
        ]
        most = heapq.nsmallest(shown, [*most, *own], key=lambda row: (-row[0], row[1]))
    return counts, most
