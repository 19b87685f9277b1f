"""Labelled galaxies of a catalogue that its weights were trained on: no score of theirs is honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.evaluation.labelled import Labelled
from pipeline.images import ImageError, decode_image
from pipeline.network import Model, check_model, read_card, weight_files
from pipeline.network.seen import SeenPictures, picture_digest, read_seen
from pipeline.run.cutouts import readable_batches, reader_of

NOT_KNOWN = "Whether the weights were trained on any of these galaxies isn’t known: "


@dataclass(frozen=True)
class ScoredGalaxies:
    """The labelled galaxies that a catalogue's scores are computed from.

    Attributes
    ----------
    galaxies
        Those that count.
    seen
        How many of all the weights were trained on, by their pictures; None where that isn't known.
    summary
        Which galaxies count, and why, in a sentence or two.
    """

    galaxies: Labelled
    seen: int | None
    summary: str

    @property
    def facts(self) -> list[tuple[str, str]]:
        """For the head of a page."""
        return [] if self.seen is None else [(f"{self.seen:,}", "galaxies that the weights were trained on")]


def galaxies_to_score(
    labelled: Labelled, catalogue: str, weights: str, named: bool = True, include_seen: bool = False
) -> ScoredGalaxies:
    """The labelled galaxies without those whose pictures the weights were trained on.

    Parameters
    ----------
    catalogue
        The folder ``catalogue`` of an output, whose input is read for the pictures.
    weights
        The weights that made the catalogue.
    named
        Whether a person named the weights, so that it's an error if they aren't the catalogue's. If not, all
        galaxies count, and the summary says that it isn't known which of them the weights were trained on.
    include_seen
        Whether galaxies that the weights were trained on count all the same.

    Raises
    ------
    InputError
        If weights that were named aren't the catalogue's, their list of pictures can't be used, or no galaxy
        is left.
    """
    made_by = {sha256 for sha256 in labelled.weights if sha256 is not None}
    if not named and made_by != {read_card(weights).sha256}:
        return ScoredGalaxies(
            labelled, None, f"{NOT_KNOWN}name those that made the catalogue as weights=FILE."
        )
    model = check_model(weights, labelled.tree)
    if made_by != {model.sha256}:
        others = ", ".join(f"{sha256[:12]}…" for sha256 in sorted(made_by)) or "weights that it doesn't name"
        raise InputError(
            f"{catalogue} was made by {others}, and weights={weights} are {model.sha256[:12]}…; name those "
            "that made it"
        )
    lists = lists_of(weights, model)
    if None in lists:
        return ScoredGalaxies(
            labelled,
            None,
            f"{NOT_KNOWN}they have no list of the pictures; `python -m jobs.recipes.seen` makes it.",
        )
    training = [pictures for pictures in lists if pictures is not None]
    seen, readable = _seen_and_readable(labelled, catalogue, training)
    summary = _summary(seen, readable, include_seen, training)
    if include_seen:
        return ScoredGalaxies(labelled, int(seen.sum()), summary)
    if seen.all():
        raise InputError(
            f"the weights were trained on the pictures of all {len(labelled):,} labelled galaxies; name "
            "votes for others, or score these with include_seen=true"
        )
    return ScoredGalaxies(labelled[~seen], int(seen.sum()), summary)


def lists_of(weights: str, model: Model) -> list[SeenPictures | None]:
    """What the one network, or each of an ensemble's, was trained on."""
    files = zip(weight_files(weights), model.cards, strict=True)
    return [read_seen(file, card.sha256) for file, card in files]


def _seen_and_readable(
    labelled: Labelled, catalogue: str, lists: list[SeenPictures]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which galaxies the weights were trained on, and of which the picture can be read to tell it."""
    places = {name: row for row, name in enumerate(labelled.ids)}
    digests, readable = np.zeros(len(labelled), np.uint64), np.zeros(len(labelled), bool)
    inputs = [place for place in labelled.inputs if place]
    for batch in readable_batches(inputs, reader_of(catalogue)):
        for name, image in zip(batch["object_id"].to_pylist(), batch["image"].to_pylist(), strict=True):
            if name not in places:
                continue
            try:
                digests[places[name]] = picture_digest(decode_image(image))
                readable[places[name]] = True
            except ImageError:
                continue
    seen = np.logical_or.reduce([pictures.has(digests) for pictures in lists])
    return seen & readable, readable


def _summary(
    seen: NDArray[np.bool_], readable: NDArray[np.bool_], include_seen: bool, lists: list[SeenPictures]
) -> str:
    count, all_ = int(seen.sum()), len(seen)
    if count == 0:
        summary = f"The weights were trained on none of the pictures of these {all_:,} galaxies."
    elif include_seen:
        summary = (
            f"The weights were trained on the pictures of {count:,} of these {all_:,} galaxies; all count."
        )
    else:
        summary = (
            f"The weights were trained on the pictures of {count:,} of {all_:,} galaxies with votes; these "
            f"are left out, and the other {all_ - count:,} count."
        )
    unread = all_ - int(readable.sum())
    if unread:
        summary += f" The pictures of {unread:,} can’t be read to tell it; these count."
    lacks = dict.fromkeys(pictures.about.lacks for pictures in lists if pictures.about.lacks)
    return " ".join([summary, *(f"The list of pictures isn’t whole. It lacks: {text}" for text in lacks)])
