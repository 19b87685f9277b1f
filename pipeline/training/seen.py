"""Digests of the pictures that weights were trained on, kept beside these."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import storage
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.images import ImageError, decode_image
from pipeline.network import read_card, write_card
from pipeline.network.seen import SeenPictures, picture_digest, read_seen, seen_uri, write_seen


def keep_seen(weights: str, images: Sequence[str], init: str | None = None, lacks: str = "") -> SeenPictures:
    """Write beside weights which pictures they, and those that they started from, were trained on.

    The weights' card names the file.

    Parameters
    ----------
    images
        URIs of the pictures, as they were trained on or as they were before they were made smaller for it.
    init
        The weights that the training started from.
    lacks
        What isn't among them, in a sentence.

    Raises
    ------
    InputError
        If a picture is missing or bad.
    """
    card = read_card(weights)
    before: SeenPictures | None = None
    if init is not None:
        before = read_seen(init, read_card(init).sha256)
        if before is None:
            lacks = f"{lacks} What {storage.name(init)} was trained on, from which they started.".strip()
    digests = []
    with progress("Digests of the pictures", len(images), unit="pictures") as advance:
        for digest in storage.read_ahead(digest_of, images):
            digests.append(digest)
            advance(1)
    seen = write_seen(weights, card.sha256, digests, before, lacks)
    named = {"pictures": storage.name(seen_uri(weights))}
    write_card(weights, card.model_copy(update={"data": card.data | named}))
    say(f"Which pictures they were trained on: {seen_uri(weights)}, {len(seen):,}")
    return seen


def digest_of(image: str) -> int:
    """The digest of a picture by its URI.

    Raises
    ------
    InputError
        If it is missing or bad.
    """
    try:
        return picture_digest(decode_image(storage.read_bytes(image)))
    except ImageError as error:
        raise InputError(f"cannot use {image}: {error}") from error
