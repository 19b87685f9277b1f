"""Embeddings of pictures on disk, computed once for benchmarks that are run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import Classifier
from pipeline.catalogue.embedding import EMBEDDING, NUMBERS
from pipeline.images import decode_image
from pipeline.network import read_card
from pipeline.network.seen import picture_digest, read_seen

_AT_ONCE = 50


def embedded(weights: str, pictures: Sequence[Path], cache: Path) -> NDArray[np.int8]:
    """The embeddings (n, 64) of some pictures; those in `cache`, a folder, are not computed again.

    Of other weights, or another projection, there are others in it. What was begun and stopped continues.
    """
    classifier = Classifier(weights, embedding=True)
    assert classifier._projection is not None
    folder = cache / classifier._projection.sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.zeros((len(pictures), NUMBERS), np.int8)
    missing = []
    for row, picture in enumerate(pictures):
        if (file := _file(folder, picture)).exists():
            vectors[row] = np.load(file)
        else:
            missing.append(row)
    for start in range(0, len(missing), _AT_ONCE):
        rows = missing[start : start + _AT_ONCE]
        frame = classifier.predict(decode_image(pictures[row].read_bytes()) for row in rows)
        for row, vector in zip(rows, frame[EMBEDDING], strict=True):
            vectors[row] = vector
            np.save(_file(folder, pictures[row]), vectors[row])
    return vectors


def unseen(weights: str, pictures: Sequence[Path]) -> NDArray[np.bool_]:
    """Which of some pictures the weights were not trained on."""
    seen = read_seen(weights, read_card(weights).sha256)
    assert seen is not None, f"nothing beside {weights} says what they were trained on"
    digests = (picture_digest(decode_image(picture.read_bytes())) for picture in pictures)
    return ~seen.has(np.fromiter(digests, np.uint64))


def _file(folder: Path, picture: Path) -> Path:
    return folder / f"{picture.parent.name}-{picture.stem}.npy"
