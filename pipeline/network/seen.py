"""Which pictures weights were trained on, as digests: ``<weights>.seen.safetensors``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.companion import AboutCompanion, read_companion, write_companion
from pipeline.errors import InputError

_SUFFIX = ".seen.safetensors"
_DIGESTS = "digests"

LARGE = 25_000
"""Most pictures of which eight bytes are kept of each digest, 200 kB in all. Of more it is four: beside
60,000 pictures one other in 70,000 is then taken for one of them, by chance."""


class AboutSeen(AboutCompanion):
    """What a list of digests is of.

    Attributes
    ----------
    lacks
        What the weights were trained on beside, in a sentence; empty where the list is whole.
    """

    lacks: str = ""


@dataclass(frozen=True)
class SeenPictures:
    """The pictures that weights were trained on.

    Attributes
    ----------
    digests : ndarray, shape (n,), uint64 or uint32
        Ascending, each once.
    """

    about: AboutSeen
    digests: NDArray[np.unsignedinteger[Any]]

    def __len__(self) -> int:
        return len(self.digests)

    def has(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether the weights were trained on each of some pictures, by their digests."""
        return np.isin(_shortened(digests, self.digests.dtype), self.digests)


def picture_digest(pixels: NDArray[np.uint8]) -> int:
    """A digest of a picture (BLAKE2b, 64 bits): of its decoded pixels, not of the file that it came in.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns, 3), uint8
        The whole picture. One of another size, or with a single pixel otherwise, has another digest.
    """
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest(), "big")


def seen_uri(weights: str) -> str:
    """Where the digests of a weight file's training pictures lie."""
    return weights.removesuffix(".safetensors") + _SUFFIX


def write_seen(
    weights: str,
    weights_sha256: str,
    digests: Iterable[int],
    before: SeenPictures | None = None,
    lacks: str = "",
) -> SeenPictures:
    """Write beside weights which pictures they were trained on.

    Parameters
    ----------
    digests
        Of the pictures; see `picture_digest`.
    before
        Those of the weights that the training started from.
    lacks
        See `AboutSeen`; what `before` lacks is added to it.
    """
    kept: NDArray[np.unsignedinteger[Any]] = np.unique(np.fromiter(digests, np.uint64))
    if before is not None:
        lacks = " ".join(dict.fromkeys(text for text in (lacks, before.about.lacks) if text))
        kept = np.union1d(_shortened(kept, before.digests.dtype), before.digests)
    if len(kept) > LARGE:
        kept = np.unique(_shortened(kept, np.dtype(np.uint32)))
    seen = SeenPictures(AboutSeen(weights_sha256=weights_sha256, lacks=lacks), kept)
    write_companion(seen_uri(weights), {_DIGESTS: seen.digests}, seen.about)
    return seen


def read_seen(weights: str, weights_sha256: str) -> SeenPictures | None:
    """Which pictures weights were trained on; None where nothing beside them says it.

    Raises
    ------
    InputError
        If the file is one of other weights, or can't be read.
    """
    uri = seen_uri(weights)
    if not storage.exists(uri):
        return None
    about, (digests,) = read_companion(AboutSeen, uri, weights, weights_sha256, (_DIGESTS,))
    if digests.dtype.name not in ("uint32", "uint64") or digests.ndim != 1:
        raise InputError(
            f"{uri} holds digests of type {digests.dtype} and shape {digests.shape}; expected a list of "
            "uint64 or uint32: fetch it again"
        )
    return SeenPictures(about, digests)


def _shortened(
    digests: NDArray[np.unsignedinteger[Any]], kind: np.dtype[Any]
) -> NDArray[np.unsignedinteger[Any]]:
    """Digests of eight bytes by their first four, where the others are kept so."""
    if kind == digests.dtype:
        return digests
    shortened: NDArray[np.uint32] = (digests >> np.uint64(32)).astype(np.uint32)
    return shortened
